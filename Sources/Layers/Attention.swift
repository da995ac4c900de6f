import CKernels
import Tensor

/// Self-attention over the pixels (PRG, section 1, AttentionBlock without its normalisation and convolutions): softmax
/// over keys of q·k/√d, applied to the values, for each head.
///
/// Every head's d channels are padded to a multiple of 16 in memory, with zero weights, so that a head starts a block:
/// `packedOrder` says how the convolutions before and after must arrange theirs.
public struct Attention: Sendable {
    /// Channels over all heads.
    public let channels: Int
    /// How many heads.
    public let heads: Int
    let headBlocks: Int

    /// Most queries whose scores are held at a time.
    static let chunkQueries = 64

    /// `heads` divides `channels`.
    public init(channels: Int, heads: Int) {
        precondition(heads > 0 && channels % heads == 0)
        self.channels = channels
        self.heads = heads
        headBlocks = FeatureMap.blocks(channels / heads)
    }

    /// Channels of a head.
    public var headChannels: Int { channels / heads }

    /// Channels in memory of the attended values.
    public var paddedChannels: Int { heads * headBlocks * channelBlock }

    /// Rearranges the weights and bias of the 1x1 convolution that makes q, k and v, from the reference's head-major
    /// order to padded heads, and folds the factor 1/√d into q.
    /// - Parameters:
    ///   - weight: [3·channels][channels].
    ///   - bias: [3·channels].
    ///   - precision: what its products are computed in.
    public func queryKeyValueConvolution(
        weight: [Float], bias: [Float], precision: Precision = .f32
    ) -> PointwiseConvolution {
        let packed = packedQueryKeyValue(weight: weight, bias: bias)
        return PointwiseConvolution(
            weight: packed.weight, bias: packed.bias, inputs: channels, outputs: 3 * paddedChannels,
            precision: precision)
    }

    /// The weights of `queryKeyValueConvolution`: [3·paddedChannels][channels] and [3·paddedChannels].
    func packedQueryKeyValue(
        weight: UnsafePointer<Float>, bias: UnsafePointer<Float>
    ) -> (weight: [Float], bias: [Float]) {
        var packed = [Float](repeating: 0, count: 3 * paddedChannels * channels)
        var packedBias = [Float](repeating: 0, count: 3 * paddedChannels)
        forEachQueryKeyValueRow { source, target, scale in
            packedBias[target] = bias[source] * scale
            for c in 0..<channels { packed[target * channels + c] = weight[source * channels + c] * scale }
        }
        return (packed, packedBias)
    }

    /// Every row of the reference's weights of q, k and v, its place among the padded rows, and the factor folded into it.
    func forEachQueryKeyValueRow(_ body: (_ source: Int, _ target: Int, _ scale: Float) -> Void) {
        let padded = headBlocks * channelBlock
        let factor = 1 / Float(headChannels).squareRoot()
        for part in 0..<(3 * heads) {
            for i in 0..<headChannels { body(part * headChannels + i, part * padded + i, part % 3 == 0 ? factor : 1) }
        }
    }

    /// Rearranges the weights of the 1x1 convolution after the attention for padded heads.
    /// - Parameters:
    ///   - weight: [channels][channels].
    ///   - bias: [channels].
    ///   - precision: what its products are computed in.
    public func projection(
        weight: [Float], bias: [Float], precision: Precision = .f32
    ) -> PointwiseConvolution {
        PointwiseConvolution(
            weight: packedProjection(weight: weight), bias: bias, inputs: paddedChannels, outputs: channels,
            precision: precision)
    }

    /// The weights of `projection`: [channels][paddedChannels].
    func packedProjection(weight: UnsafePointer<Float>) -> [Float] {
        var packed = [Float](repeating: 0, count: channels * paddedChannels)
        for output in 0..<channels {
            for c in 0..<channels {
                packed[output * paddedChannels + paddedChannel(c)] = weight[output * channels + c]
            }
        }
        return packed
    }

    /// Where channel `c` of the attended values lies.
    func paddedChannel(_ c: Int) -> Int { c / headChannels * headBlocks * channelBlock + c % headChannels }

    /// Floats of scratch that a worker needs on maps of `side` pixels.
    public func scratchFloats(side: Int) -> Int {
        let keyBlocks = FeatureMap.blocks(side * side)
        return keyBlocks * channelBlock * (headBlocks * channelBlock + Self.chunkQueries)
    }

    /// How maps of `side` pixels are attended: by chunks of queries of one head of one image.
    public func plan(side: Int, on pool: WorkerPool) -> LayerPlan {
        let tokens = side * side
        return LayerPlan(
            kind: .attention, precision: .f32, inputs: 3 * channels, outputs: channels, side: side,
            multiplyAdds: 2 * channels * tokens * tokens,
            products: paddedChannels * tokens * (FeatureMap.blocks(tokens) * channelBlock + tokens), weightBytes: 0,
            unitParts: pool.count, blockParts: 1)
    }

    /// Attends within each of the first `batch` images.
    /// - Parameters:
    ///   - queriesKeysValues: `3·paddedChannels` channels, as `queryKeyValueConvolution` writes them.
    ///   - output: `paddedChannels` channels; its moments are not written.
    public func forward(_ queriesKeysValues: FeatureMap, into output: FeatureMap, batch: Int, on workspace: Workspace) {
        let tokens = output.side * output.side
        let chunks = (tokens + Self.chunkQueries - 1) / Self.chunkQueries
        var call = Call(
            layer: self, input: queriesKeysValues, output: output, workspace: workspace, tokens: tokens,
            chunks: chunks, units: batch * heads * chunks)
        workspace.run(plan(side: output.side, on: workspace.pool), on: &call) { context, worker in
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

        /// Does a worker's part.
        func perform(_ worker: Int) {
            var scratch = workspace.scratch(of: worker)
            let padded = FeatureMap.blocks(tokens) * channelBlock
            let keys = scratch.take(padded * layer.headBlocks * channelBlock)
            let scores = scratch.take(padded * Attention.chunkQueries)
            var packedHead = -1
            for unit in WorkerPool.part(worker, of: workspace.pool.count, total: units) {
                let imageHead = unit / chunks
                let head = Head(
                    input, output, image: imageHead / layer.heads, head: imageHead % layer.heads,
                    blocks: layer.headBlocks)
                if packedHead != imageHead {
                    head.packKeys(into: keys, kernels: workspace.kernels)
                    packedHead = imageHead
                }
                let first = unit % chunks * Attention.chunkQueries
                head.attend(
                    queries: first..<min(first + Attention.chunkQueries, tokens), keys: keys, scores: scores,
                    kernels: workspace.kernels)
            }
        }
    }

    /// One head of one image.
    private struct Head {
        let queries: UnsafePointer<Float>
        let keys: UnsafePointer<Float>
        let values: UnsafePointer<Float>
        let attended: UnsafeMutablePointer<Float>
        let tokens: Int
        let blocks: Int
        let blockStride: Int

        init(_ source: FeatureMap, _ output: FeatureMap, image: Int, head: Int, blocks: Int) {
            self.blocks = blocks
            tokens = source.side * source.side
            blockStride = source.blockStride
            let part = blocks * blockStride
            let base = UnsafePointer(source.image(image) + head * 3 * part)
            queries = base
            keys = base + part
            values = base + 2 * part
            attended = output.image(image) + head * part
        }

        /// Keys as GEMM panels: [tokens/16][d][16].
        func packKeys(into panels: UnsafeMutablePointer<Float>, kernels: Kernels) {
            for block in 0..<blocks {
                kernels.table.pointee.transpose(
                    panels + block * channelBlock * channelBlock, blocks * channelBlock * channelBlock,
                    keys + block * blockStride, tokens)
            }
        }

        func attend(
            queries range: Range<Int>, keys panels: UnsafePointer<Float>, scores: UnsafeMutablePointer<Float>,
            kernels: Kernels
        ) {
            let rows = range.count
            let scoreStride = rows * channelBlock
            let offset = range.lowerBound * channelBlock
            kernels.gemm(
                hw_gemm_arguments(
                    a: queries + offset, a_block_stride: blockStride, a_group_stride: 0, group_rows: rows, b: panels,
                    b_panel_stride: blocks * channelBlock * channelBlock, c: scores, c_block_stride: scoreStride,
                    rows: rows, k: blocks * channelBlock, blocks: FeatureMap.blocks(tokens), bias: nil, residual: nil,
                    residual_block_stride: 0))
            kernels.table.pointee.softmax(scores, scoreStride, rows, tokens)
            // The values, [d/16][tokens][16], are panels as they lie.
            kernels.gemm(
                hw_gemm_arguments(
                    a: scores, a_block_stride: scoreStride, a_group_stride: 0, group_rows: rows, b: values,
                    b_panel_stride: blockStride, c: attended + offset, c_block_stride: blockStride, rows: rows,
                    k: tokens, blocks: blocks, bias: nil, residual: nil, residual_block_stride: 0))
        }
    }
}
