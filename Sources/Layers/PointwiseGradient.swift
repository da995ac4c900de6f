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

    /// Allocates for a convolution in f32 whose weights are zero; `repack` must follow.
    public init(_ shape: PointwiseShape, pool: WorkerPool) {
        precondition(shape.precision == .f32)
        layer = PointwiseConvolution(zeros: shape)
        adjoint = PointwiseConvolution(
            zeros: PointwiseShape(inputs: shape.outputs, outputs: shape.inputs, side: shape.side))
        sums = (0..<pool.count).map { _ in
            AlignedBuffer(count: shape.weightFloats + shape.outputBlocks * channelBlock)
        }
    }

    /// Takes new weights and bias, with the extents that `shape.weightShape` has, for both directions.
    public func repack(weight: UnsafePointer<Float>, bias: UnsafePointer<Float>) {
        let (inputs, outputs) = (layer.shape.inputs, layer.shape.outputs)
        let arranged = layer.shape.arranged(weight: weight, bias: bias)
        layer.repack(weight: arranged.weight, bias: arranged.bias)
        var transposed = [Float](repeating: 0, count: inputs * outputs)
        for o in 0..<outputs {
            for i in 0..<inputs { transposed[i * outputs + o] = arranged.weight[o * inputs + i] }
        }
        adjoint.repack(weight: transposed, bias: nil)
    }

    /// Floats of scratch that a worker needs.
    public var scratchFloats: Int { max(layer.shape.scratchFloats, adjoint.shape.scratchFloats) }

    /// Computes the gradient by the input of the first `batch` images; parameters as of `ConvolutionGradient`.
    public func inputGradient(
        _ outputGradient: FeatureMap, into result: FeatureMap, addend: FeatureMap? = nil,
        through transform: InputTransformGradient.Call? = nil, batch: Int, on workspace: Workspace
    ) {
        adjoint.forward(
            outputGradient, transform: nil, into: result, residual: addend,
            epilogue: transform.epilogue(batch: batch, on: workspace), batch: batch, on: workspace)
    }

    /// Adds up the gradients by weights and bias of the first `batch` images; parameters as of `ConvolutionGradient`.
    public func accumulate(
        _ input: FeatureMap, transform: InputTransform?, outputGradient: FeatureMap, batch: Int,
        on workspace: Workspace
    ) {
        let units = batch * input.bands
        workspace.pool.run { [self] worker in
            var scratch = workspace.scratch(of: worker)
            let kernels = workspace.kernels
            let sums = sums[worker].pointer
            let reader = InputReader(
                kernels: kernels, channels: layer.shape.columns, transform: transform,
                scratch: &scratch)
            let together = max(1, PointwiseShape.chunkPixels / (bandRows * input.side))
            let part = WorkerPool.part(worker, of: workspace.pool.count, total: units)
            let copy = scratch.take(
                layer.shape.columns * max(PointwiseShape.chunkPixels, bandRows * input.side))
            var unit = part.lowerBound
            while unit < part.upperBound {
                let segment = Segment(
                    at: unit, before: min(unit + together, part.upperBound), bandsPerImage: input.bands)
                let pixels = PointwiseConvolution.Pixels(segment, side: input.side)
                var a = (data: input.image(segment.image) + pixels.offset, stride: input.blockStride)
                if transform != nil {
                    reader.prepare(transform, for: input, image: segment.image)
                    for block in 0..<layer.shape.inputBlocks {
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
                        c_block_stride: layer.shape.columns * channelBlock, k: pixels.count,
                        rows: layer.shape.columns, blocks: layer.shape.outputBlocks, accumulates: true))
                for block in 0..<layer.shape.outputBlocks {
                    hw_add_columns(
                        sums + layer.shape.weightFloats + block * channelBlock, b + block * outputGradient.blockStride,
                        pixels.count)
                }
                unit += segment.bands.count
            }
        }
    }

    /// Adds the gradients that have come together to those by weights and bias as `repack` takes them, and resets them.
    public func addGradients(weight: UnsafeMutablePointer<Float>, bias: UnsafeMutablePointer<Float>) {
        let shape = layer.shape
        guard shape.weights != .plain else { return addPanels(weight, bias) }
        var arranged = [Float](repeating: 0, count: shape.outputs * shape.inputs)
        var arrangedBias = [Float](repeating: 0, count: shape.outputs)
        addPanels(&arranged, &arrangedBias)
        shape.add(arrangedWeight: arranged, arrangedBias: arrangedBias, weight: weight, bias: bias)
    }

    private func addPanels(_ weight: UnsafeMutablePointer<Float>, _ bias: UnsafeMutablePointer<Float>) {
        let shape = layer.shape
        for part in sums {
            hw_add_panels(weight, part.pointer, shape.outputs, shape.inputs, shape.columns)
            hw_axpy(bias, part.pointer + shape.weightFloats, 1, shape.outputs)
            part.pointer.update(repeating: 0, count: part.count)
        }
    }
}
