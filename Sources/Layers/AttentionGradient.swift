import CKernels
import Tensor

extension Attention {
    /// Floats of scratch that a worker needs for `backward`.
    public var gradientScratchFloats: Int {
        2 * FeatureMap.blocks(side * side) * channelBlock * (headBlocks * channelBlock + Self.chunkQueries)
    }

    /// Computes the gradient with respect to queries, keys and values of the first `batch` images; the probabilities are computed
    /// again.
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

/// One head of one image on the way back.
private struct HeadGradient {
    /// Its `attended` are the gradient with respect to the attended values.
    let head: AttentionHead
    let queryGradient: UnsafeMutablePointer<Float>
    let keyGradient: UnsafeMutablePointer<Float>
    let valueGradient: UnsafeMutablePointer<Float>

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
        self.head = AttentionHead(
            source, outputGradient, image: image, head: head, blocks: blocks, kernels: kernels)
        let part = blocks * source.blockStride
        let gradients = result.image(image) + head * 3 * part
        (queryGradient, keyGradient, valueGradient) = (gradients, gradients + part, gradients + 2 * part)
    }

    func run(_ memory: Memory) {
        head.pack(head.keys, into: memory.keys)
        head.pack(head.values, into: memory.values)
        for first in stride(from: 0, to: head.tokens, by: Attention.chunkQueries) {
            chunk(first..<min(first + Attention.chunkQueries, head.tokens), memory)
        }
    }

    /// Queries `range`: their own gradient, and their share of the keys' and values'.
    private func chunk(_ range: Range<Int>, _ memory: Memory) {
        let (rows, offset, adds) = (range.count, range.lowerBound * channelBlock, range.lowerBound > 0)
        let (probabilities, gradient) = (memory.probabilities, memory.gradient)
        let (queries, attended) = (head.queries + offset, head.attended + offset)
        let table = head.kernels.table
        head.againstTokens(queries, memory.keys, into: probabilities, rows: rows)
        table.pointee.softmax(probabilities, rows * channelBlock, rows, head.tokens)
        overQueries(probabilities, attended, into: valueGradient, rows: rows, adds: adds)
        head.againstTokens(attended, memory.values, into: gradient, rows: rows)
        table.pointee.softmax_gradient(gradient, probabilities, rows * channelBlock, rows, head.tokens)
        head.overTokens(gradient, head.keys, into: queryGradient + offset, rows: rows)
        overQueries(gradient, queries, into: keyGradient, rows: rows, adds: adds)
    }

    /// Sums over queries of scores [tokens/16][rows][16] times rows of [d/16][tokens][16].
    private func overQueries(
        _ scores: UnsafePointer<Float>, _ rowsOf: UnsafePointer<Float>, into result: UnsafeMutablePointer<Float>,
        rows: Int, adds: Bool
    ) {
        head.kernels.gemmTransposed(
            hw_gemm_transposed_arguments(
                a: scores, a_block_stride: rows * channelBlock, b: rowsOf, b_block_stride: head.blockStride, c: result,
                c_block_stride: head.blockStride, k: rows, rows: head.tokens, blocks: head.blocks, accumulates: adds))
    }
}
