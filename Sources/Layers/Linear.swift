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

    /// x·wᵀ + bias: `x` is [rows][inputs], the result [rows][outputs]. A row's numbers don't depend on the other rows.
    public func callAsFunction(_ x: [Float], kernels: Kernels) -> [Float] {
        precondition(x.count % inputs == 0)
        let rows = x.count / inputs
        let blocks = FeatureMap.blocks(outputs)
        let columns = FeatureMap.blocks(inputs) * channelBlock
        let blockStride = rows * channelBlock
        let source = AlignedBuffer(count: rows * columns)
        for row in 0..<rows {
            for i in 0..<inputs {
                source.pointer[i / channelBlock * blockStride + row * channelBlock + i % channelBlock] =
                    x[row * inputs + i]
            }
        }
        let result = AlignedBuffer(count: blocks * blockStride)
        kernels.gemm(
            hw_gemm_arguments(
                a: source.pointer, a_block_stride: blockStride, a_group_stride: 0, group_rows: rows, b: weights.pointer,
                b_panel_stride: columns * channelBlock, c: result.pointer, c_block_stride: blockStride, rows: rows,
                k: columns, blocks: blocks, bias: bias?.pointer, residual: nil, residual_block_stride: 0))
        return (0..<rows).flatMap { row in
            (0..<outputs).map {
                result.pointer[$0 / channelBlock * blockStride + row * channelBlock + $0 % channelBlock]
            }
        }
    }
}
