import CKernels
public import Tensor

/// A fully connected layer on the kernels whose sums don't depend on the number of rows, unlike a BLAS, which sums
/// one row otherwise than eight.
public final class Linear: Sendable {
    /// Numbers read a row.
    public let inputs: Int
    /// Numbers written a row.
    public let outputs: Int
    private let weights: AlignedBuffer
    private let bias: AlignedBuffer?

    /// `weight` is [outputs][inputs] as PyTorch keeps it, `bias` [outputs] or nil.
    public init(weight: [Float], bias: [Float]?, inputs: Int, outputs: Int) {
        precondition(weight.count == inputs * outputs)
        self.inputs = inputs
        self.outputs = outputs
        let padded = FeatureMap.blocks(inputs) * channelBlock
        weights = AlignedBuffer(count: padded * FeatureMap.blocks(outputs) * channelBlock)
        hw_pack_panels(weights.pointer, weight, outputs, inputs, padded)
        self.bias = bias.map {
            AlignedBuffer($0 + [Float](repeating: 0, count: FeatureMap.blocks(outputs) * channelBlock - outputs))
        }
    }

    /// x·wᵀ + bias for one row of `inputs` numbers; the result has `outputs`.
    public func callAsFunction(_ x: [Float], kernels: Kernels) -> [Float] {
        precondition(x.count == inputs)
        let blocks = FeatureMap.blocks(outputs)
        let columns = FeatureMap.blocks(inputs) * channelBlock
        let source = AlignedBuffer(x + [Float](repeating: 0, count: columns - inputs))
        let result = AlignedBuffer(count: blocks * channelBlock)
        kernels.gemm(
            hw_gemm_arguments(
                a: source.pointer, a_block_stride: channelBlock, a_group_stride: 0, group_rows: 1, b: weights.pointer,
                b_panel_stride: columns * channelBlock, c: result.pointer, c_block_stride: channelBlock, rows: 1,
                k: columns, blocks: blocks, bias: bias?.pointer, residual: nil, residual_block_stride: 0))
        return Array(UnsafeBufferPointer(start: result.pointer, count: outputs))
    }
}
