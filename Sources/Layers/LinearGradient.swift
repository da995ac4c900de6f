import CKernels
import Tensor

/// A fully connected layer in both directions, for training. The gradient with respect to its input is itself such a layer, with
/// transposed weights.
public final class LinearGradient {
    /// The layer.
    public let layer: Linear
    private let adjoint: Linear
    /// The weights' gradient, as the layer's weights, and behind it the bias's.
    private let sums: AlignedBuffer

    /// Allocates; `repack` must follow.
    public init(inputs: Int, outputs: Int, hasBias: Bool) {
        layer = Linear(zerosOf: inputs, outputs, hasBias: hasBias)
        adjoint = Linear(zerosOf: outputs, inputs, hasBias: false)
        sums = AlignedBuffer(count: layer.weights.count + FeatureMap.blocks(outputs) * channelBlock)
    }

    /// Takes new weights, [outputs][inputs], and bias, nil if the layer has none.
    public func repack(weight: UnsafePointer<Float>, bias: UnsafePointer<Float>?) {
        let (inputs, outputs) = (layer.inputs, layer.outputs)
        layer.repack(weight: weight, bias: bias)
        adjoint.repack(weight: transposed(weight, rows: outputs, columns: inputs), bias: nil)
    }

    /// Computes the gradient with respect to `x` from that with respect to `y`.
    public func inputGradient(
        _ yGradient: BlockedMatrix, into xGradient: BlockedMatrix, rows: Int, on workspace: Workspace
    ) {
        adjoint.forward(yGradient, into: xGradient, rows: rows, on: workspace)
    }

    /// Adds up the gradients with respect to weights and bias over the first `rows` rows.
    public func accumulate(_ x: BlockedMatrix, yGradient: BlockedMatrix, rows: Int, on workspace: Workspace) {
        let panel = layer.paddedInputs * channelBlock
        workspace.pool.run { [self] worker in
            let part = WorkerPool.part(worker, of: workspace.pool.count, total: yGradient.blocks)
            guard !part.isEmpty else { return }
            let gradient = yGradient.pointer + part.lowerBound * yGradient.blockStride
            workspace.kernels.gemmTransposed(
                hw_gemm_transposed_arguments(
                    a: x.pointer, a_block_stride: x.blockStride, b: gradient, b_block_stride: yGradient.blockStride,
                    c: sums.pointer + part.lowerBound * panel, c_block_stride: panel, k: rows,
                    rows: layer.paddedInputs, blocks: part.count, accumulates: true))
            for block in 0..<part.count {
                hw_add_columns(
                    sums.pointer + layer.weights.count + (part.lowerBound + block) * channelBlock,
                    gradient + block * yGradient.blockStride, rows)
            }
        }
    }

    /// Adds the accumulated gradients to `weight`, [outputs][inputs], and `bias`, and resets them.
    public func addGradients(weight: UnsafeMutablePointer<Float>, bias: UnsafeMutablePointer<Float>?) {
        hw_add_panels(weight, sums.pointer, layer.outputs, layer.inputs, layer.paddedInputs)
        if let bias { hw_axpy(bias, sums.pointer + layer.weights.count, 1, layer.outputs) }
        sums.pointer.update(repeating: 0, count: sums.count)
    }
}

/// A row-major matrix, [rows][columns], with rows and columns exchanged.
func transposed(_ matrix: UnsafePointer<Float>, rows: Int, columns: Int) -> [Float] {
    var result = [Float](repeating: 0, count: rows * columns)
    for row in 0..<rows {
        for column in 0..<columns { result[column * rows + row] = matrix[row * columns + column] }
    }
    return result
}
