public import Augmentation
public import ImagePipeline
private import Synchronization

/// Images as a network takes them, with their labels.
public struct Batch: Sendable {
    /// Counted from 0.
    public let epoch: Int
    /// Place in the epoch, counted from 0.
    public let index: Int
    /// Normalised pixels in the layout [count][3][side][side].
    public let pixels: [Float]
    /// The class of each image.
    public let labels: [Int]

    /// Images in the batch.
    public var count: Int { labels.count }

    /// Puts a batch together.
    public init(epoch: Int, index: Int, pixels: [Float], labels: [Int]) {
        self.epoch = epoch
        self.index = index
        self.pixels = pixels
        self.labels = labels
    }
}

/// Batches of a data set: every epoch each image once, in an order of its own and changed at random.
///
/// A batch follows from the seed, its epoch and its index alone, so a run that is resumed in the middle of an epoch sees
/// what it would have seen. Without augmentation the pixels are bit for bit those of `Preprocessing.input(for:)`, so that
/// training and evaluation agree.
public final class DataFeed: Sendable {
    /// What of an epoch's images doesn't fill a batch.
    public enum Remainder: Sendable {
        /// Is left out of that epoch, unless it is all there is.
        case dropped
        /// Comes as a smaller batch.
        case kept
    }

    /// How a feed makes batches.
    public struct Configuration: Sendable {
        /// Images of a batch.
        public var batchSize: Int
        /// Determines order and augmentation.
        public var seed: UInt64
        /// How images are changed.
        public var augmentation = AugmentationPolicy.none
        /// Whether each epoch has an order of its own; otherwise images come in that of the data set.
        public var shuffles = true
        /// What becomes of the images that don't fill a batch.
        public var remainder = Remainder.dropped
        /// At what size large JPEGs are decoded where evaluation's square is what is needed.
        public var decoding = DecodingMode.scaled
        /// Most bytes of decoded images kept in memory.
        public var cacheBytes = 512 << 20

        /// A training feed without augmentation.
        public init(batchSize: Int, seed: UInt64) {
            self.batchSize = batchSize
            self.seed = seed
        }
    }

    /// What is fed.
    public let subset: LabelledSubset
    /// How it is fed.
    public let configuration: Configuration
    /// Batches of every epoch; at least one.
    public let batchesPerEpoch: Int

    private let preprocessing: Preprocessing
    private let cache: DecodedImageCache

    /// Feeds `subset`, which isn't empty, as `preprocessing` has it.
    public init(_ subset: LabelledSubset, preprocessing: Preprocessing, _ configuration: Configuration) {
        precondition(subset.count > 0 && configuration.batchSize > 0, "a batch has at least one image")
        self.subset = subset
        self.configuration = configuration
        self.preprocessing = preprocessing
        let whole = subset.count / configuration.batchSize
        let rest = subset.count % configuration.batchSize
        batchesPerEpoch = whole + (rest > 0 && (configuration.remainder == .kept || whole == 0) ? 1 : 0)
        cache = DecodedImageCache(capacity: subset.count, byteLimit: configuration.cacheBytes)
    }

    /// Images of a batch; with `Remainder.kept` the last of an epoch may have fewer.
    public var imagesPerBatch: Int { min(configuration.batchSize, subset.count) }

    /// Side in pixels of the images fed.
    public var side: Int { preprocessing.cropSize }

    /// Makes a batch, on the calling thread.
    ///
    /// - Throws: `DataSetError` naming the image that can't be read or decoded.
    public func batch(epoch: Int, index: Int) throws(DataSetError) -> Batch {
        try batch(index, order: order(epoch: epoch), epoch: epoch)
    }

    /// Batches from a place on, without end, made ahead on a thread of their own.
    ///
    /// - Parameter depth: most batches that wait to be taken; at least 1.
    public func batches(fromEpoch epoch: Int = 0, index: Int = 0, depth: Int = 4) -> BatchStream {
        precondition(epoch >= 0 && index >= 0 && index <= batchesPerEpoch, "no such place in the epoch")
        return BatchStream(self, epoch: epoch, index: index, depth: depth)
    }

    /// The positions in `subset` in the order of an epoch.
    func order(epoch: Int) -> [Int] {
        guard configuration.shuffles else { return Array(0..<subset.count) }
        var random = RandomStream(seed: configuration.seed, Purpose.order.rawValue, epoch)
        return random.permutation(of: subset.count)
    }

    /// The positions of a batch's images in an epoch of that order.
    func positions(ofBatch index: Int, in order: [Int]) -> ArraySlice<Int> {
        let start = index * configuration.batchSize
        return order[start..<min(start + configuration.batchSize, order.count)]
    }

    func batch(_ index: Int, order: [Int], epoch: Int) throws(DataSetError) -> Batch {
        let positions = positions(ofBatch: index, in: order)
        let size = 3 * side * side
        var failure: DataSetError?
        let pixels = [Float](unsafeUninitializedCapacity: positions.count * size) { buffer, count in
            for position in positions {
                do throws(DataSetError) {
                    let room = UnsafeMutableBufferPointer(rebasing: buffer[count..<count + size])
                    try write(position, epoch: epoch, into: room)
                    count += size
                } catch {
                    failure = error
                    return
                }
            }
        }
        if let failure { throw failure }
        return Batch(epoch: epoch, index: index, pixels: pixels, labels: positions.map { subset.labels[$0] })
    }

    /// What the numbers of a stream are for.
    private enum Purpose: Int {
        case order, augmentation
    }

    private func write(
        _ position: Int, epoch: Int, into buffer: UnsafeMutableBufferPointer<Float>
    ) throws(DataSetError) {
        let policy = configuration.augmentation
        var random = RandomStream(
            seed: configuration.seed, Purpose.augmentation.rawValue, epoch, subset.indices[position])
        let source = try cache.image(at: position) { () throws(DataSetError) in try decoded(position) }
        let picture = policy.picture(of: source, side: side, fill: preprocessing.meanColor, using: &random)
        preprocessing.normalize(picture, into: buffer)
        policy.erase(buffer, side: side, using: &random)
    }

    private func decoded(_ position: Int) throws(DataSetError) -> RGBImage {
        let (images, index) = (subset.images, subset.indices[position])
        let bytes = try images.bytes(at: index, maximumBytes: ImageLimits().maximumBytes)
        do throws(ImageError) {
            return configuration.augmentation.needsWholePicture(side: side)
                ? try ImageDecoder.decode(bytes)
                : try preprocessing.croppedImage(for: bytes, decoding: configuration.decoding)
        } catch {
            throw DataSetError("\(images.path): \(images.items[index].path): \(error.message)")
        }
    }
}

/// Decoded images, as many as a limit of bytes allows; those seen first stay.
private final class DecodedImageCache: Sendable {
    private struct State {
        var images: [RGBImage?]
        var room: Int
    }

    private let state: Mutex<State>

    init(capacity: Int, byteLimit: Int) {
        state = Mutex(State(images: [RGBImage?](repeating: nil, count: capacity), room: byteLimit))
    }

    func image(at index: Int, decoding: () throws(DataSetError) -> RGBImage) throws(DataSetError) -> RGBImage {
        if let image = state.withLock({ $0.images[index] }) { return image }
        let image = try decoding()
        state.withLock { state in
            guard state.images[index] == nil, image.pixels.count <= state.room else { return }
            state.room -= image.pixels.count
            state.images[index] = image
        }
        return image
    }
}
