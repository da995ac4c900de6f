import CKernels
import Layers
import Tensor

/// A map with memory of its own for `capacity` images.
final class OwnedFeatureMap {
    let map: FeatureMap
    private let data: AlignedBuffer
    private let moments: AlignedBuffer

    init(capacity: Int, channels: Int, side: Int) {
        let (size, momentsSize) = (
            FeatureMap.dataCount(channels: channels, side: side),
            FeatureMap.momentsCount(channels: channels, side: side)
        )
        data = AlignedBuffer(count: capacity * size)
        moments = AlignedBuffer(count: capacity * momentsSize)
        map = FeatureMap(
            channels: channels, side: side, data: data.pointer, imageStride: size, moments: moments.pointer,
            momentsStride: momentsSize)
    }

    var byteCount: Int { (data.count + moments.count) * MemoryLayout<Float>.stride }
}

/// Gradients that live only while one block is taken backwards, or one stage: each kind shares memory across the network.
final class GradientMemory {
    enum Kind: Hashable {
        /// By a residual block's hidden map, or by attended values.
        case hidden
        /// By queries, keys and values.
        case mixed
        /// By a normalised map, before the sums over its groups are in.
        case unfinished
        /// What a change of resolution puts between.
        case resampled
        /// By the map between block i and the next of a stage.
        case between(Int)
    }

    private let capacity: Int
    private var buffers: [Kind: (data: AlignedBuffer, moments: AlignedBuffer)] = [:]

    init(capacity: Int) { self.capacity = capacity }

    /// A map that is valid until the next call for its kind. Memory grows at the first pass and then stays.
    func map(_ kind: Kind, channels: Int, side: Int) -> FeatureMap {
        let (size, momentsSize) = (
            FeatureMap.dataCount(channels: channels, side: side),
            FeatureMap.momentsCount(channels: channels, side: side)
        )
        var memory = buffers[kind]
        if memory == nil || memory!.data.count < capacity * size || memory!.moments.count < capacity * momentsSize {
            memory = (
                AlignedBuffer(count: max(memory?.data.count ?? 0, capacity * size)),
                AlignedBuffer(count: max(memory?.moments.count ?? 0, capacity * momentsSize))
            )
            buffers[kind] = memory
        }
        return FeatureMap(
            channels: channels, side: side, data: memory!.data.pointer, imageStride: size,
            moments: memory!.moments.pointer, momentsStride: momentsSize)
    }

    var byteCount: Int {
        buffers.values.reduce(0) { $0 + $1.data.count + $1.moments.count } * MemoryLayout<Float>.stride
    }
}

extension FeatureMap {
    /// Sets the first `batch` images to zero.
    func clear(batch: Int) {
        for n in 0..<batch {
            image(n).update(repeating: 0, count: FeatureMap.dataCount(channels: channels, side: side))
        }
    }

    /// Sets the first `batch` images to the gradient by their numbers that follows from `gradients`, [batch][channels], by
    /// their spatial means.
    func spread(_ gradients: [Float], batch: Int) {
        clear(batch: batch)
        let pixels = side * side
        for n in 0..<batch {
            for channel in 0..<channels {
                let first = image(n) + channel / 16 * pixels * 16 + channel % 16
                let value = gradients[n * channels + channel] / Float(pixels)
                for pixel in 0..<pixels { first[pixel * 16] = value }
            }
        }
    }

    /// self += other over the first `batch` images.
    func add(_ other: FeatureMap, batch: Int, pool: WorkerPool) {
        let count = FeatureMap.dataCount(channels: channels, side: side)
        pool.run { worker in
            for n in WorkerPool.part(worker, of: pool.count, total: batch) {
                hw_axpy(image(n), other.image(n), 1, count)
            }
        }
    }
}
