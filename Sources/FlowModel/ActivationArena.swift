import Layers
import Tensor

/// The memory of every activation of a network, planned once.
///
/// Each decoder stage reads one map whose front part the stage before it writes and whose back part the encoder stage it
/// is joined with has written: a concatenation is two writers into one map. Maps within a stage share memory with those
/// of other stages.
final class ActivationArena {
    /// Network input, [16 channels, three used].
    let image: FeatureMap
    /// Network output, [16 channels, three used].
    let velocity: FeatureMap
    let inputStages: [FeatureMap]
    let middle: FeatureMap
    let concatenations: [FeatureMap]
    let outputStages: [FeatureMap]
    private let buffers: [AlignedBuffer]
    private let temporaries: [Temporary: (data: AlignedBuffer, moments: AlignedBuffer)]
    private let capacity: Int

    private enum Temporary: Hashable { case hidden, between(Int), mixed, attended }

    /// Bytes of memory that an arena for `capacity` images takes.
    static func byteCount(layout: UNetLayout, capacity: Int) -> Int {
        let image = (channels: 3, side: layout.architecture.imageSize)
        let last = layout.outputBlocks.last!
        let maps =
            [image, image, (channels: last.outputChannels, side: last.outputSize)]
            + layout.outputBlocks.map { (channels: $0.inputChannels, side: $0.inputSize) }
        let sizes =
            Array(temporarySizes(layout).values)
            + maps.map {
                (
                    data: FeatureMap.dataCount(channels: $0.channels, side: $0.side),
                    moments: FeatureMap.momentsCount(channels: $0.channels, side: $0.side)
                )
            }
        return sizes.reduce(0) {
            $0 + AlignedBuffer.byteCount(count: capacity * $1.data)
                + AlignedBuffer.byteCount(count: capacity * $1.moments)
        }
    }

    init(network: VelocityNetwork, capacity: Int) {
        self.capacity = capacity
        var buffers: [AlignedBuffer] = []
        func map(channels: Int, side: Int) -> FeatureMap {
            let data = AlignedBuffer(count: capacity * FeatureMap.dataCount(channels: channels, side: side))
            let moments = AlignedBuffer(count: capacity * FeatureMap.momentsCount(channels: channels, side: side))
            buffers += [data, moments]
            return FeatureMap(
                channels: channels, side: side, data: data.pointer, imageStride: data.count / capacity,
                moments: moments.pointer, momentsStride: moments.count / capacity)
        }
        let layout = network.layout
        image = map(channels: 3, side: layout.architecture.imageSize)
        velocity = map(channels: 3, side: layout.architecture.imageSize)
        let concatenations = layout.outputBlocks.map { map(channels: $0.inputChannels, side: $0.inputSize) }
        self.concatenations = concatenations
        func front(_ i: Int) -> FeatureMap {
            let stage = layout.outputBlocks[i]
            return concatenations[i].channels(0..<(stage.inputChannels - stage.skipChannels))
        }
        let stages = layout.inputBlocks.count
        inputStages = (0..<stages).map { i in
            let stage = layout.outputBlocks[stages - 1 - i]
            return concatenations[stages - 1 - i].channels(
                (stage.inputChannels - stage.skipChannels)..<stage.inputChannels)
        }
        middle = front(0)
        let last = layout.outputBlocks[stages - 1]
        outputStages =
            (1..<stages).map(front) + [map(channels: last.outputChannels, side: last.outputSize)]
        let sizes = Self.temporarySizes(layout)
        temporaries = sizes.mapValues { size in
            (AlignedBuffer(count: capacity * size.data), AlignedBuffer(count: capacity * size.moments))
        }
        self.buffers = buffers
    }

    var byteCount: Int {
        let all = buffers + temporaries.values.flatMap { [$0.data, $0.moments] }
        return all.reduce(0) { $0 + $1.count } * MemoryLayout<Float>.stride
    }

    /// Between the two convolutions of a residual block.
    func hidden(channels: Int, side: Int) -> FeatureMap { temporary(.hidden, channels: channels, side: side) }
    /// After block `index` of a stage that has more blocks.
    func between(_ index: Int, channels: Int, side: Int) -> FeatureMap {
        temporary(.between(index), channels: channels, side: side)
    }
    /// Queries, keys and values.
    func mixed(channels: Int, side: Int) -> FeatureMap { temporary(.mixed, channels: channels, side: side) }
    /// Attended values.
    func attended(channels: Int, side: Int) -> FeatureMap { temporary(.attended, channels: channels, side: side) }

    func map(_ place: ActivationPlace) -> FeatureMap? {
        switch place {
        case .middle: middle
        case .down(let i): inputStages.indices.contains(i) ? inputStages[i] : nil
        case .up(let i): outputStages.indices.contains(i) ? outputStages[i] : nil
        }
    }

    /// Image n has the same memory in every stage, since different workers may be at different stages with theirs.
    private func temporary(_ kind: Temporary, channels: Int, side: Int) -> FeatureMap {
        let memory = temporaries[kind]!
        return FeatureMap(
            channels: channels, side: side, data: memory.data.pointer, imageStride: memory.data.count / capacity,
            moments: memory.moments.pointer, momentsStride: memory.moments.count / capacity)
    }

    private static func temporarySizes(_ layout: UNetLayout) -> [Temporary: (data: Int, moments: Int)] {
        var sizes: [Temporary: (data: Int, moments: Int)] = [:]
        func need(_ kind: Temporary, channels: Int, side: Int) {
            let old = sizes[kind] ?? (0, 0)
            sizes[kind] = (
                max(old.data, FeatureMap.dataCount(channels: channels, side: side)),
                max(old.moments, FeatureMap.momentsCount(channels: channels, side: side))
            )
        }
        for stage in layout.inputBlocks + [layout.middle] + layout.outputBlocks {
            let side = stage.inputSize
            for (index, block) in stage.blocks.enumerated() {
                switch block {
                case .convolution, .downsample, .upsample: continue
                case .residual(_, _, let outputs): need(.hidden, channels: outputs, side: side)
                case .attention(_, let channels):
                    let attention = Attention(channels: channels, heads: layout.architecture.heads)
                    need(.mixed, channels: 3 * attention.paddedChannels, side: side)
                    need(.attended, channels: attention.paddedChannels, side: side)
                }
                need(.between(index), channels: stage.outputChannels, side: side)
            }
        }
        return sizes
    }
}
