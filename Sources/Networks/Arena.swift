public import Layers
import Tensor

/// Where the maps of one image lie in an arena: a program's buffers, or the gradients with respect to them.
///
/// Every image has its own part of the arena, the same for all operations, since workers that are divided by images may be
/// at different operations.
public struct ArenaLayout: Sendable, Equatable {
    /// A map of an arena, and when it is needed.
    public struct Map: Sendable, Equatable {
        let channels: Int
        let side: Int
        let lifetime: ClosedRange<Int>

        /// Describes a map that is written first at the start of its lifetime and read last at its end. Steps count operations.
        public init(channels: Int, side: Int, lifetime: ClosedRange<Int>) {
            self.channels = channels
            self.side = side
            self.lifetime = lifetime
        }
    }

    private let maps: [Map]
    private let plan: MemoryPlan

    /// Lays out maps.
    public init(_ maps: [Map]) {
        self.maps = maps
        plan = MemoryPlan(
            maps.flatMap { map in
                [
                    MemoryPlan.Block(
                        count: FeatureMap.dataCount(channels: map.channels, side: map.side), lifetime: map.lifetime),
                    MemoryPlan.Block(
                        count: FeatureMap.momentsCount(channels: map.channels, side: map.side), lifetime: map.lifetime),
                ]
            })
    }

    /// Bytes of memory that an arena for `capacity` images takes.
    public func byteCount(capacity: Int) -> Int { AlignedBuffer.byteCount(count: capacity * plan.count) }

    fileprivate func memory(capacity: Int) -> AlignedBuffer { AlignedBuffer(count: capacity * plan.count) }

    fileprivate func maps(in memory: AlignedBuffer) -> [FeatureMap] {
        maps.enumerated().map { index, map in
            FeatureMap(
                channels: map.channels, side: map.side, data: memory.pointer + plan.offsets[2 * index],
                imageStride: plan.count, moments: memory.pointer + plan.offsets[2 * index + 1],
                momentsStride: plan.count)
        }
    }
}

/// The memory of a batch of maps, allocated once.
public final class Arena {
    /// The maps in the order of the layout.
    public let maps: [FeatureMap]
    private let memory: AlignedBuffer

    /// Allocates memory for `capacity` images.
    public init(_ layout: ArenaLayout, capacity: Int) {
        memory = layout.memory(capacity: capacity)
        maps = layout.maps(in: memory)
    }

    /// Bytes held.
    public var byteCount: Int { memory.count * MemoryLayout<Float>.stride }
}

extension NetworkProgram {
    /// The layout of an evaluation: a buffer's memory is free for others before its first writer and after its last reader.
    /// Places are read as soon as they are written.
    var evaluationLayout: ArenaLayout {
        let end = operations.count
        var lifetimes = BufferLifetimes(of: self)
        lifetimes.use(input, at: -1)
        for (step, operation) in operations.enumerated() {
            for buffer in operation.buffers { lifetimes.use(buffer, at: step) }
        }
        for place in namedPlaces { lifetimes.use(place.buffer, at: place.operationCount - 1) }
        lifetimes.use(output, at: end)
        return ArenaLayout(owners.map { map($0, lifetime: lifetimes[$0] ?? end...end) })
    }

    /// The buffers with memory of their own, which are what layouts place.
    public var owners: [BufferIndex] { buffers.indices.filter { buffers[$0].owner == nil } }

    /// A buffer as a map of a layout.
    public func map(_ buffer: BufferIndex, lifetime: ClosedRange<Int>) -> ArenaLayout.Map {
        ArenaLayout.Map(channels: buffers[buffer].channels, side: buffers[buffer].side, lifetime: lifetime)
    }

    /// The map of every buffer, from those of the owners in the order of `owners`, which may be followed by others.
    public func maps(ofOwners maps: [FeatureMap]) -> [FeatureMap] {
        let ofOwner = Dictionary(uniqueKeysWithValues: zip(owners, maps))
        return buffers.indices.map { index in
            guard let range = buffers[index].owner else { return ofOwner[index]! }
            return ofOwner[range.buffer]!.channels(range.firstChannel..<range.firstChannel + buffers[index].channels)
        }
    }
}

/// From when to when the buffers with memory of their own are needed, in steps.
package struct BufferLifetimes {
    private let program: NetworkProgram
    private var ranges: [NetworkProgram.BufferIndex: ClosedRange<Int>] = [:]

    /// No buffer is needed yet.
    package init(of program: NetworkProgram) { self.program = program }

    /// A buffer, or a range of its channels, is read or written at a step.
    package mutating func use(_ buffer: NetworkProgram.BufferIndex, at step: Int) {
        let owner = program.owner(of: buffer)
        let old = ranges[owner] ?? step...step
        ranges[owner] = min(old.lowerBound, step)...max(old.upperBound, step)
    }

    /// The lifetime of a buffer with memory of its own; nil if it is never needed.
    package subscript(owner: NetworkProgram.BufferIndex) -> ClosedRange<Int>? { ranges[owner] }
}
