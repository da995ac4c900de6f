import CKernels
public import Tensor

/// A fully connected layer, y = x·wᵀ + bias, on kernels whose sums don't depend on the number of rows. A BLAS may sum one row in
/// another order than eight.
public final class Linear: Sendable {
    /// Numbers read a row.
    public let inputs: Int
    /// Numbers written a row.
    public let outputs: Int
    let weights: AlignedBuffer
    private let bias: AlignedBuffer?

    /// `weight` is [outputs][inputs] as PyTorch keeps it, `bias` [outputs] or nil.
    public convenience init(weight: [Float], bias: [Float]?, inputs: Int, outputs: Int) {
        precondition(weight.count == inputs * outputs)
        self.init(zerosOf: inputs, outputs, hasBias: bias != nil)
        repack(weight: weight, bias: bias)
    }

    /// A layer whose weights and bias are zero until `repack`.
    init(zerosOf inputs: Int, _ outputs: Int, hasBias: Bool) {
        self.inputs = inputs
        self.outputs = outputs
        let padded = FeatureMap.blocks(outputs) * channelBlock
        weights = AlignedBuffer(count: FeatureMap.blocks(inputs) * channelBlock * padded)
        bias = hasBias ? AlignedBuffer(count: padded) : nil
    }

    /// Whether it has a bias.
    package var hasBias: Bool { bias != nil }

    var paddedInputs: Int { FeatureMap.blocks(inputs) * channelBlock }

    /// Replaces weights and bias, laid out as for `init`. No other call may be running.
    func repack(weight: UnsafePointer<Float>, bias: UnsafePointer<Float>?) {
        precondition((bias == nil) == (self.bias == nil))
        hw_pack_panels(weights.pointer, weight, outputs, inputs, paddedInputs)
        if let bias, let own = self.bias { own.pointer.update(from: bias, count: outputs) }
    }

    /// The results of `x`, [rows][inputs]: [rows][outputs]. A row's numbers don't depend on the other rows.
    public func callAsFunction(_ x: [Float], kernels: Kernels) -> [Float] {
        precondition(x.count % inputs == 0)
        let rows = x.count / inputs
        let source = BlockedMatrix(rows: rows, columns: inputs)
        let result = BlockedMatrix(rows: rows, columns: outputs)
        for row in 0..<rows { x.withUnsafeBufferPointer { source.setRow(row, from: $0.baseAddress! + row * inputs) } }
        multiply(source, into: result, rows: rows, blocks: 0..<result.blocks, kernels: kernels)
        return result.numbers(rows: rows)
    }

    /// Computes the first `rows` rows of `y` from those of `x`.
    public func forward(_ x: BlockedMatrix, into y: BlockedMatrix, rows: Int, on workspace: Workspace) {
        precondition(x.columns == inputs && y.columns == outputs)
        workspace.pool.run { [self] worker in
            let part = WorkerPool.part(worker, of: workspace.pool.count, total: y.blocks)
            guard !part.isEmpty else { return }
            multiply(x, into: y, rows: rows, blocks: part, kernels: workspace.kernels)
        }
    }

    private func multiply(
        _ x: BlockedMatrix, into y: BlockedMatrix, rows: Int, blocks: Range<Int>, kernels: Kernels
    ) {
        let panel = paddedInputs * channelBlock
        kernels.gemm(
            hw_gemm_arguments(
                a: x.pointer, a_block_stride: x.blockStride, a_group_stride: 0, group_rows: rows,
                b: weights.pointer + blocks.lowerBound * panel, b_panel_stride: panel,
                c: y.pointer + blocks.lowerBound * y.blockStride, c_block_stride: y.blockStride, rows: rows,
                k: paddedInputs, blocks: blocks.count,
                bias: bias.map { UnsafePointer($0.pointer + blocks.lowerBound * channelBlock) },
                residual: nil, residual_block_stride: 0))
    }
}
