import CKernels
import Tensor

/// Self-attention over the pixels (PRG, section 1, AttentionBlock without its normalisation and convolutions): softmax
/// over keys of q·k/√d, applied to the values, for each head.
///
/// Every head's d channels are padded to a multiple of 16 in memory, with zero weights, so that a head starts a block:
/// `WeightArrangement` says how the convolutions before and after arrange theirs.
public struct Attention: LayerShape {
    /// Channels over all heads.
    public let channels: Int
    /// How many heads.
    public let heads: Int
    package let side: Int
    let headBlocks: Int

    /// Most queries whose scores are held at a time.
    static let chunkQueries = 64

    /// `heads` divides `channels`.
    public init(channels: Int, heads: Int, side: Int) {
        precondition(heads > 0 && channels % heads == 0)
        self.channels = channels
        self.side = side
        self.heads = heads
        headBlocks = FeatureMap.blocks(channels / heads)
    }

    /// Channels of a head.
    public var headChannels: Int { channels / heads }

    /// Channels in memory of the attended values.
    public var paddedChannels: Int { heads * headBlocks * channelBlock }

    /// The 1x1 convolution that makes its queries, keys and values of `channels` channels.
    public var queriesKeysValues: PointwiseShape {
        PointwiseShape(inputs: channels, outputs: 3 * paddedChannels, side: side, weights: .queriesKeysValues(self))
    }

    /// The 1x1 convolution that makes `channels` channels of the attended values.
    public var projection: PointwiseShape {
        PointwiseShape(inputs: paddedChannels, outputs: channels, side: side, weights: .attendedValues(self))
    }

    package var inputs: Int { queriesKeysValues.outputs }
    package var outputs: Int { paddedChannels }
    package var weightShape: [Int]? { nil }
    package var weightFloats: Int { 0 }
    package func computed(in precision: Precision) -> Attention { self }

    package var multiplyAdds: Int { 2 * channels * tokens * tokens }

    private var tokens: Int { side * side }

    package var scratchFloats: Int {
        FeatureMap.blocks(tokens) * channelBlock * (headBlocks * channelBlock + Self.chunkQueries)
    }

    /// How maps are attended: by chunks of queries of one head of one image.
    package func plan(batch: Int, on pool: WorkerPool) -> LayerPlan {
        LayerPlan(
            kind: .attention, precision: .f32, inputs: 3 * channels, outputs: channels, side: side,
            multiplyAdds: multiplyAdds,
            products: paddedChannels * tokens * (FeatureMap.blocks(tokens) * channelBlock + tokens), weightBytes: 0,
            unitParts: pool.count, blockParts: 1)
    }

    /// Attends within each of the first `batch` images.
    /// - Parameters:
    ///   - queriesKeysValues: `3·paddedChannels` channels, as `queriesKeysValues` writes them.
    ///   - output: `paddedChannels` channels; its moments are not written.
    public func forward(_ queriesKeysValues: FeatureMap, into output: FeatureMap, batch: Int, on workspace: Workspace) {
        precondition(output.side == side)
        let tokens = tokens
        let chunks = (tokens + Self.chunkQueries - 1) / Self.chunkQueries
        var call = Call(
            layer: self, input: queriesKeysValues, output: output, workspace: workspace, tokens: tokens,
            chunks: chunks, units: batch * heads * chunks)
        workspace.run(plan(batch: batch, on: workspace.pool), on: &call) { context, worker in
            context.assumingMemoryBound(to: Call.self).pointee.perform(worker)
        }
    }

    /// One forward call; a unit is one chunk of queries of one head of one image.
    private struct Call {
        let layer: Attention
        let input: FeatureMap
        let output: FeatureMap
        let workspace: Workspace
        let tokens: Int
        let chunks: Int
        let units: Int

        func perform(_ worker: Int) {
            var scratch = workspace.scratch(of: worker)
            let padded = FeatureMap.blocks(tokens) * channelBlock
            let keys = scratch.take(padded * layer.headBlocks * channelBlock)
            let scores = scratch.take(padded * Attention.chunkQueries)
            var packedHead = -1
            for unit in WorkerPool.part(worker, of: workspace.pool.count, total: units) {
                let imageHead = unit / chunks
                let head = AttentionHead(
                    input, output, image: imageHead / layer.heads, head: imageHead % layer.heads,
                    blocks: layer.headBlocks, kernels: workspace.kernels)
                if packedHead != imageHead {
                    head.pack(head.keys, into: keys)
                    packedHead = imageHead
                }
                let first = unit % chunks * Attention.chunkQueries
                head.attend(
                    queries: first..<min(first + Attention.chunkQueries, tokens), keys: keys, scores: scores)
            }
        }
    }
}

/// One head of one image. All matrices are blocked, [columns/16][tokens][16].
struct AttentionHead {
    let queries: UnsafePointer<Float>
    let keys: UnsafePointer<Float>
    let values: UnsafePointer<Float>
    /// The attended values, or the gradient with respect to them.
    let attended: UnsafeMutablePointer<Float>
    let tokens: Int
    let blocks: Int
    let blockStride: Int
    let kernels: Kernels

    init(_ source: FeatureMap, _ output: FeatureMap, image: Int, head: Int, blocks: Int, kernels: Kernels) {
        self.blocks = blocks
        self.kernels = kernels
        tokens = source.side * source.side
        blockStride = source.blockStride
        let part = blocks * blockStride
        let base = UnsafePointer(source.image(image) + head * 3 * part)
        (queries, keys, values) = (base, base + part, base + 2 * part)
        attended = output.image(image) + head * part
    }

    /// Copies a matrix into GEMM panels: [tokens/16][d][16].
    func pack(_ matrix: UnsafePointer<Float>, into panels: UnsafeMutablePointer<Float>) {
        for block in 0..<blocks {
            kernels.table.pointee.transpose(
                panels + block * channelBlock * channelBlock, blocks * channelBlock * channelBlock,
                matrix + block * blockStride, tokens)
        }
    }

    func attend(
        queries range: Range<Int>, keys panels: UnsafePointer<Float>, scores: UnsafeMutablePointer<Float>
    ) {
        let (rows, offset) = (range.count, range.lowerBound * channelBlock)
        againstTokens(queries + offset, panels, into: scores, rows: rows)
        kernels.table.pointee.softmax(scores, rows * channelBlock, rows, tokens)
        overTokens(scores, values, into: attended + offset, rows: rows)
    }

    /// Products of rows [d/16][tokens][16] with every token's panel: [tokens/16][rows][16].
    func againstTokens(
        _ rowsOf: UnsafePointer<Float>, _ panels: UnsafePointer<Float>, into result: UnsafeMutablePointer<Float>,
        rows: Int
    ) {
        kernels.gemm(
            hw_gemm_arguments(
                a: rowsOf, a_block_stride: blockStride, a_group_stride: 0, group_rows: rows, b: panels,
                b_panel_stride: blocks * channelBlock * channelBlock, c: result, c_block_stride: rows * channelBlock,
                rows: rows, k: blocks * channelBlock, blocks: FeatureMap.blocks(tokens), bias: nil, residual: nil,
                residual_block_stride: 0))
    }

    /// Sums over tokens of scores [tokens/16][rows][16] times a matrix, whose blocks are panels as they lie.
    func overTokens(
        _ scores: UnsafePointer<Float>, _ matrix: UnsafePointer<Float>, into result: UnsafeMutablePointer<Float>,
        rows: Int
    ) {
        kernels.gemm(
            hw_gemm_arguments(
                a: scores, a_block_stride: rows * channelBlock, a_group_stride: 0, group_rows: rows, b: matrix,
                b_panel_stride: blockStride, c: result, c_block_stride: blockStride, rows: rows, k: tokens,
                blocks: blocks, bias: nil, residual: nil, residual_block_stride: 0))
    }
}
