import CKernels
public import Tensor

/// A 1x1 convolution's gradients: by its input a 1x1 convolution with transposed weights, by its weights a matrix product
/// over all pixels.
public final class PointwiseGradient: ConvolutionLayerGradient {
    /// The convolution.
    public let layer: PointwiseConvolution
    private let adjoint: PointwiseConvolution
    private var shape: PointwiseShape { layer.shape }
    /// Weights as they are packed, then the bias: each worker's sums over its pixels, or a single one if the workers divide
    /// the output channels.
    private let sums: [AlignedBuffer]

    /// Allocates for a convolution in f32 whose weights are zero; `repack` must follow.
    ///
    /// - Parameter sums: how the workers divide the gradient with respect to the weights.
    public init(_ shape: PointwiseShape, sums division: GradientSums = .fastest, pool: WorkerPool) {
        precondition(shape.precision == .f32)
        layer = PointwiseConvolution(zeros: shape)
        adjoint = PointwiseConvolution(
            zeros: PointwiseShape(inputs: shape.outputs, outputs: shape.inputs, side: shape.side))
        sums = (0..<(division == .fastest ? pool.count : 1)).map { _ in
            AlignedBuffer(count: shape.weightFloats + shape.outputBlocks * channelBlock)
        }
    }

    package func repack(weight: UnsafePointer<Float>, bias: UnsafePointer<Float>, pool: WorkerPool) {
        let arranged = shape.arranged(weight: weight, bias: bias)
        layer.repack(weight: arranged.weight, bias: arranged.bias)
        adjoint.repack(
            weight: transposed(arranged.weight, rows: shape.outputs, columns: shape.inputs), bias: nil)
    }

    package var scratchFloats: Int { max(shape.scratchFloats, adjoint.shape.scratchFloats) }

    package func inputGradient(
        _ outputGradient: FeatureMap, into result: FeatureMap, addend: FeatureMap?,
        through transform: InputTransformGradient.Call?, temporary: FeatureMap?, batch: Int, on workspace: Workspace
    ) {
        adjoint.forward(
            outputGradient, transform: nil, into: result, residual: addend,
            epilogue: transform.epilogue(batch: batch, on: workspace), batch: batch, on: workspace)
    }

    package func accumulate(
        _ input: FeatureMap, transform: InputTransform?, outputGradient: FeatureMap, batch: Int,
        on workspace: Workspace
    ) {
        let call = ConvolutionCall(
            layer: layer, input: input, transform: transform, output: outputGradient, residual: nil,
            epilogue: .none, workspace: workspace, units: batch * input.bands,
            division: WorkDivision(unitParts: sums.count, blockParts: workspace.pool.count / sums.count))
        workspace.pool.run { [self] worker in
            let part = call.division.part(of: worker, units: call.units, blocks: shape.outputBlocks)
            guard !part.units.isEmpty, !part.blocks.isEmpty else { return }
            var scratch = workspace.scratch(of: worker)
            let reader = InputReader(call, scratch: &scratch)
            let sums = sums[sums.count > 1 ? worker : 0].pointer
            let panel = shape.columns * channelBlock
            for segment in Segments(part.units, bands: shape.chunkBands, bandsPerImage: input.bands) {
                let pixels = PointwiseConvolution.Pixels(segment, side: shape.side)
                let a = layer.source(call, segment, pixels, reader: reader, memory: scratch)
                let b =
                    outputGradient.image(segment.image) + pixels.offset
                    + part.blocks.lowerBound * outputGradient.blockStride
                workspace.kernels.gemmTransposed(
                    hw_gemm_transposed_arguments(
                        a: a.data, a_block_stride: a.stride, b: b, b_block_stride: outputGradient.blockStride,
                        c: sums + part.blocks.lowerBound * panel, c_block_stride: panel, k: pixels.count,
                        rows: shape.columns, blocks: part.blocks.count, accumulates: true))
                for block in part.blocks {
                    hw_add_columns(
                        sums + shape.weightFloats + block * channelBlock,
                        b + (block - part.blocks.lowerBound) * outputGradient.blockStride, pixels.count)
                }
            }
        }
    }

    package func addGradients(
        weight: UnsafeMutablePointer<Float>, bias: UnsafeMutablePointer<Float>, pool: WorkerPool
    ) {
        guard shape.weights != .plain else { return addPanels(weight, bias) }
        var arranged = [Float](repeating: 0, count: shape.outputs * shape.inputs)
        var arrangedBias = [Float](repeating: 0, count: shape.outputs)
        addPanels(&arranged, &arrangedBias)
        shape.add(arrangedWeight: arranged, arrangedBias: arrangedBias, weight: weight, bias: bias)
    }

    private func addPanels(_ weight: UnsafeMutablePointer<Float>, _ bias: UnsafeMutablePointer<Float>) {
        for part in sums {
            hw_add_panels(weight, part.pointer, shape.outputs, shape.inputs, shape.columns)
            hw_axpy(bias, part.pointer + shape.weightFloats, 1, shape.outputs)
            part.pointer.update(repeating: 0, count: part.count)
        }
    }
}
