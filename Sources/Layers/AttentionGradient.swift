import CKernels
import Tensor

extension Attention {
    /// Floats of scratch that a worker needs for `backward`.
    public var gradientScratchFloats: Int {
        2 * FeatureMap.blocks(side * side) * channelBlock * (headBlocks * channelBlock + Self.chunkQueries)
    }

    /// Computes the gradient by queries, keys and values of the first `batch` images; the probabilities are computed again.
    /// - Parameters:
    ///   - queriesKeysValues: what the forward pass read.
    ///   - outputGradient: by the attended values.
    ///   - result: as `queriesKeysValues`; the padding of heads gets zeros.
    public func backward(
        _ queriesKeysValues: FeatureMap, outputGradient: FeatureMap, into result: FeatureMap, batch: Int,
        on workspace: Workspace
    ) {
        let units = batch * heads
        workspace.pool.run { worker in
            let memory = HeadGradient.Memory(workspace.scratch(of: worker), layer: self, side: outputGradient.side)
            for unit in WorkerPool.part(worker, of: workspace.pool.count, total: units) {
                HeadGradient(
                    queriesKeysValues, outputGradient, result, image: unit / heads, head: unit % heads,
                    blocks: headBlocks, kernels: workspace.kernels
                ).run(memory)
            }
        }
    }
}

/// One head of one image on the way back. All matrices are blocked, [columns/16][tokens][16].
private struct HeadGradient {
    let queries: UnsafePointer<Float>
    let keys: UnsafePointer<Float>
    let values: UnsafePointer<Float>
    let attended: UnsafePointer<Float>
    let queryGradient: UnsafeMutablePointer<Float>
    let keyGradient: UnsafeMutablePointer<Float>
    let valueGradient: UnsafeMutablePointer<Float>
    let tokens: Int
    let blocks: Int
    let stride: Int
    let kernels: Kernels

    /// A worker's: keys and values as panels [tokens/16][d][16], and a chunk of queries' probabilities and their gradient.
    struct Memory {
        let keys: UnsafeMutablePointer<Float>
        let values: UnsafeMutablePointer<Float>
        let probabilities: UnsafeMutablePointer<Float>
        let gradient: UnsafeMutablePointer<Float>

        init(_ scratch: Scratch, layer: Attention, side: Int) {
            var scratch = scratch
            let padded = FeatureMap.blocks(side * side) * channelBlock
            keys = scratch.take(padded * layer.headBlocks * channelBlock)
            values = scratch.take(padded * layer.headBlocks * channelBlock)
            probabilities = scratch.take(padded * Attention.chunkQueries)
            gradient = scratch.take(padded * Attention.chunkQueries)
        }
    }

    init(
        _ source: FeatureMap, _ outputGradient: FeatureMap, _ result: FeatureMap, image: Int, head: Int, blocks: Int,
        kernels: Kernels
    ) {
        self.blocks = blocks
        self.kernels = kernels
        tokens = source.side * source.side
        stride = source.blockStride
        let part = blocks * stride
        let base = UnsafePointer(source.image(image) + head * 3 * part)
        (queries, keys, values) = (base, base + part, base + 2 * part)
        let gradients = result.image(image) + head * 3 * part
        (queryGradient, keyGradient, valueGradient) = (gradients, gradients + part, gradients + 2 * part)
        attended = UnsafePointer(outputGradient.image(image) + head * part)
    }

    func run(_ memory: Memory) {
        for block in 0..<blocks {
            for (panels, source) in [(memory.keys, keys), (memory.values, values)] {
                kernels.table.pointee.transpose(
                    panels + block * channelBlock * channelBlock, blocks * channelBlock * channelBlock,
                    source + block * stride, tokens)
            }
        }
        for first in Swift.stride(from: 0, to: tokens, by: Attention.chunkQueries) {
            chunk(first..<min(first + Attention.chunkQueries, tokens), memory)
        }
    }

    /// Queries `range`: their own gradient, and their share of the keys' and values'.
    private func chunk(_ range: Range<Int>, _ memory: Memory) {
        let rows = range.count
        let offset = range.lowerBound * channelBlock
        let scoreStride = rows * channelBlock
        let (probabilities, gradient) = (memory.probabilities, memory.gradient)
        againstTokens(queries + offset, memory.keys, into: probabilities, rows: rows)
        kernels.table.pointee.softmax(probabilities, scoreStride, rows, tokens)
        overQueries(probabilities, attended + offset, into: valueGradient, rows: rows, adds: range.lowerBound > 0)
        againstTokens(attended + offset, memory.values, into: gradient, rows: rows)
        kernels.table.pointee.softmax_gradient(gradient, probabilities, scoreStride, rows, tokens)
        // The keys, [d/16][tokens][16], are panels as they lie.
        kernels.gemm(
            hw_gemm_arguments(
                a: gradient, a_block_stride: scoreStride, a_group_stride: 0, group_rows: rows, b: keys,
                b_panel_stride: stride, c: queryGradient + offset, c_block_stride: stride, rows: rows, k: tokens,
                blocks: blocks, bias: nil, residual: nil, residual_block_stride: 0))
        overQueries(gradient, queries + offset, into: keyGradient, rows: rows, adds: range.lowerBound > 0)
    }

    /// Products of rows [d/16][tokens][16] with every token's panel: [tokens/16][rows][16].
    private func againstTokens(
        _ rowsOf: UnsafePointer<Float>, _ panels: UnsafePointer<Float>, into result: UnsafeMutablePointer<Float>,
        rows: Int
    ) {
        kernels.gemm(
            hw_gemm_arguments(
                a: rowsOf, a_block_stride: stride, a_group_stride: 0, group_rows: rows, b: panels,
                b_panel_stride: blocks * channelBlock * channelBlock, c: result, c_block_stride: rows * channelBlock,
                rows: rows, k: blocks * channelBlock, blocks: FeatureMap.blocks(tokens), bias: nil, residual: nil,
                residual_block_stride: 0))
    }

    /// Sums over queries of scores [tokens/16][rows][16] times rows of [d/16][tokens][16].
    private func overQueries(
        _ scores: UnsafePointer<Float>, _ rowsOf: UnsafePointer<Float>, into result: UnsafeMutablePointer<Float>,
        rows: Int, adds: Bool
    ) {
        kernels.gemmTransposed(
            hw_gemm_transposed_arguments(
                a: scores, a_block_stride: rows * channelBlock, b: rowsOf, b_block_stride: stride, c: result,
                c_block_stride: stride, k: rows, rows: tokens, blocks: blocks, accumulates: adds))
    }
}
