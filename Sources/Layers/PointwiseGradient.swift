import CKernels
public import Tensor

/// A 1x1 convolution's gradients: by its input a 1x1 convolution with transposed weights, by its weights a matrix product
/// over all pixels.
public final class PointwiseGradient {
    /// The convolution.
    public let layer: PointwiseConvolution
    private let adjoint: PointwiseConvolution
    /// Each worker's sums over its pixels: weights as they are packed, then the bias.
    private let sums: [AlignedBuffer]

    /// Allocates for `layer`, computing in f32; `repack` must follow.
    public init(_ layer: PointwiseConvolution, pool: WorkerPool) {
        precondition(layer.precision == .f32)
        self.layer = layer
        adjoint = PointwiseConvolution(
            weight: [Float](repeating: 0, count: layer.inputs * layer.outputs),
            bias: [Float](repeating: 0, count: layer.inputs), inputs: layer.outputs,
            outputs: layer.inputs)
        sums = (0..<pool.count).map { _ in
            AlignedBuffer(count: layer.weights.count + layer.outputBlocks * channelBlock)
        }
    }

    /// Takes new weights, [outputs][inputs], and bias, for both directions.
    public func repack(weight: UnsafePointer<Float>, bias: UnsafePointer<Float>) {
        layer.repack(weight: weight, bias: bias)
        var transposed = [Float](repeating: 0, count: layer.inputs * layer.outputs)
        for o in 0..<layer.outputs {
            for i in 0..<layer.inputs { transposed[i * layer.outputs + o] = weight[o * layer.inputs + i] }
        }
        adjoint.repack(weight: transposed, bias: nil)
    }

    /// Floats of scratch that a worker needs on maps of `side` pixels.
    public func scratchFloats(side: Int) -> Int {
        max(layer.scratchFloats(side: side), adjoint.scratchFloats(side: side))
    }

    /// Computes the gradient by the input of the first `batch` images; parameters as of `ConvolutionGradient`.
    public func inputGradient(
        _ outputGradient: FeatureMap, into result: FeatureMap, adds: Bool = false,
        normalization: (gradient: NormalizationGradient, input: FeatureMap)? = nil, batch: Int,
        on workspace: Workspace
    ) {
        let epilogue =
            normalization.map {
                Epilogue.activationGradient(
                    $0.gradient.activation(of: $0.input, film: nil, batch: batch, on: workspace))
            } ?? .none
        adjoint.forward(
            outputGradient, normalization: nil, into: result, residual: adds ? result : nil, epilogue: epilogue,
            batch: batch, on: workspace)
    }

    /// Adds up the gradients by weights and bias of the first `batch` images; parameters as of `ConvolutionGradient`.
    public func accumulate(
        _ input: FeatureMap, normalization: Normalization?, outputGradient: FeatureMap, batch: Int,
        on workspace: Workspace
    ) {
        let units = batch * input.bands
        workspace.pool.run { [self] worker in
            var scratch = workspace.scratch(of: worker)
            let kernels = workspace.kernels
            let sums = sums[worker].pointer
            let reader = InputReader(
                kernels: kernels, channels: layer.inputBlocks * channelBlock, normalization: normalization,
                scratch: &scratch)
            let together = max(1, PointwiseConvolution.chunkPixels / (bandRows * input.side))
            let part = WorkerPool.part(worker, of: workspace.pool.count, total: units)
            let copy = scratch.take(
                layer.inputBlocks * channelBlock * max(PointwiseConvolution.chunkPixels, bandRows * input.side))
            var unit = part.lowerBound
            while unit < part.upperBound {
                let segment = Segment(
                    at: unit, before: min(unit + together, part.upperBound), bandsPerImage: input.bands)
                let pixels = PointwiseConvolution.Pixels(segment, side: input.side)
                var a = (data: input.image(segment.image) + pixels.offset, stride: input.blockStride)
                if normalization != nil {
                    reader.prepare(normalization, for: input, image: segment.image)
                    for block in 0..<layer.inputBlocks {
                        reader.read(
                            a.data + block * input.blockStride, pixels: pixels.count, block: block,
                            into: copy + block * pixels.count * channelBlock)
                    }
                    a = (copy, pixels.count * channelBlock)
                }
                let b = outputGradient.image(segment.image) + pixels.offset
                kernels.gemmTransposed(
                    hw_gemm_transposed_arguments(
                        a: a.data, a_block_stride: a.stride, b: b, b_block_stride: outputGradient.blockStride, c: sums,
                        c_block_stride: layer.inputBlocks * channelBlock * channelBlock, k: pixels.count,
                        rows: layer.inputBlocks * channelBlock, blocks: layer.outputBlocks, accumulates: true))
                for block in 0..<layer.outputBlocks {
                    hw_add_columns(
                        sums + layer.weights.count + block * channelBlock, b + block * outputGradient.blockStride,
                        pixels.count)
                }
                unit += segment.bands.count
            }
        }
    }

    /// Adds the gradients that have come together to `weight`, [outputs][inputs], and `bias`, and starts anew.
    public func addGradients(weight: UnsafeMutablePointer<Float>, bias: UnsafeMutablePointer<Float>) {
        for part in sums {
            hw_add_panels(weight, part.pointer, layer.outputs, layer.inputs, layer.inputBlocks * channelBlock)
            hw_axpy(bias, part.pointer + layer.weights.count, 1, layer.outputs)
            part.pointer.update(repeating: 0, count: part.count)
        }
    }
}
