import CKernels
import Tensor

/// A fully connected layer in both directions, for training: y = x·wᵀ + bias over the rows of blocked matrices.
public final class LinearGradient {
    /// Numbers read a row.
    public let inputs: Int
    /// Numbers written a row.
    public let outputs: Int
    private let weights: AlignedBuffer
    private let adjointWeights: AlignedBuffer
    private let bias: AlignedBuffer?
    /// The weights' gradient, as `weights`, and behind it the bias's.
    private let sums: AlignedBuffer
    private var paddedInputs: Int { FeatureMap.blocks(inputs) * channelBlock }
    private var paddedOutputs: Int { FeatureMap.blocks(outputs) * channelBlock }

    /// Allocates; `repack` must follow.
    public init(inputs: Int, outputs: Int, hasBias: Bool) {
        self.inputs = inputs
        self.outputs = outputs
        let padded = (FeatureMap.blocks(inputs) * channelBlock, FeatureMap.blocks(outputs) * channelBlock)
        weights = AlignedBuffer(count: padded.0 * padded.1)
        adjointWeights = AlignedBuffer(count: padded.0 * padded.1)
        bias = hasBias ? AlignedBuffer(count: padded.1) : nil
        sums = AlignedBuffer(count: padded.0 * padded.1 + padded.1)
    }

    /// Takes new weights, [outputs][inputs], and bias, nil if the layer has none.
    public func repack(weight: UnsafePointer<Float>, bias: UnsafePointer<Float>?) {
        precondition((bias == nil) == (self.bias == nil))
        hw_pack_panels(weights.pointer, weight, outputs, inputs, paddedInputs)
        var transposed = [Float](repeating: 0, count: inputs * outputs)
        for o in 0..<outputs {
            for i in 0..<inputs { transposed[i * outputs + o] = weight[o * inputs + i] }
        }
        hw_pack_panels(adjointWeights.pointer, transposed, inputs, outputs, paddedOutputs)
        if let bias, let own = self.bias { own.pointer.update(from: bias, count: outputs) }
    }

    /// Computes the first `rows` rows of `y` from those of `x`.
    public func forward(_ x: BlockedMatrix, into y: BlockedMatrix, rows: Int, on workspace: Workspace) {
        precondition(x.columns == inputs && y.columns == outputs)
        multiply(x, by: weights, bias: bias, into: y, rows: rows, on: workspace)
    }

    /// Computes the gradient by `x` from that by `y`.
    public func inputGradient(
        _ yGradient: BlockedMatrix, into xGradient: BlockedMatrix, rows: Int, on workspace: Workspace
    ) {
        precondition(yGradient.columns == outputs && xGradient.columns == inputs)
        multiply(yGradient, by: adjointWeights, bias: nil, into: xGradient, rows: rows, on: workspace)
    }

    private func multiply(
        _ x: BlockedMatrix, by panels: AlignedBuffer, bias: AlignedBuffer?, into y: BlockedMatrix, rows: Int,
        on workspace: Workspace
    ) {
        let k = x.blocks * channelBlock
        let blocks = y.blocks
        workspace.pool.run { worker in
            let part = WorkerPool.part(worker, of: workspace.pool.count, total: blocks)
            guard !part.isEmpty else { return }
            workspace.kernels.gemm(
                hw_gemm_arguments(
                    a: x.pointer, a_block_stride: x.blockStride, a_group_stride: 0, group_rows: rows,
                    b: panels.pointer + part.lowerBound * k * channelBlock, b_panel_stride: k * channelBlock,
                    c: y.pointer + part.lowerBound * y.blockStride, c_block_stride: y.blockStride, rows: rows, k: k,
                    blocks: part.count, bias: bias.map { UnsafePointer($0.pointer + part.lowerBound * channelBlock) },
                    residual: nil, residual_block_stride: 0))
        }
    }

    /// Adds up the gradients by weights and bias over the first `rows` rows.
    public func accumulate(_ x: BlockedMatrix, yGradient: BlockedMatrix, rows: Int, on workspace: Workspace) {
        let panel = paddedInputs * channelBlock
        workspace.pool.run { [self] worker in
            let part = WorkerPool.part(worker, of: workspace.pool.count, total: yGradient.blocks)
            guard !part.isEmpty else { return }
            let gradient = yGradient.pointer + part.lowerBound * yGradient.blockStride
            workspace.kernels.gemmTransposed(
                hw_gemm_transposed_arguments(
                    a: x.pointer, a_block_stride: x.blockStride, b: gradient, b_block_stride: yGradient.blockStride,
                    c: sums.pointer + part.lowerBound * panel, c_block_stride: panel, k: rows, rows: paddedInputs,
                    blocks: part.count, accumulates: true))
            for block in 0..<part.count {
                hw_add_columns(
                    sums.pointer + weights.count + (part.lowerBound + block) * channelBlock,
                    gradient + block * yGradient.blockStride, rows)
            }
        }
    }

    /// Adds the accumulated gradients to `weight`, [outputs][inputs], and `bias`, and resets them.
    public func addGradients(weight: UnsafeMutablePointer<Float>, bias: UnsafeMutablePointer<Float>?) {
        hw_add_panels(weight, sums.pointer, outputs, inputs, paddedInputs)
        if let bias { hw_axpy(bias, sums.pointer + weights.count, 1, outputs) }
        sums.pointer.update(repeating: 0, count: sums.count)
    }
}
