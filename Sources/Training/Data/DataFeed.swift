import Augmentation
import ImagePipeline
private import Synchronization

/// Images as a network takes them, with their labels.
package struct Batch: Sendable {
    /// Counted from 0.
    package let epoch: Int
    /// Place in the epoch, counted from 0.
    package let index: Int
    /// Normalised pixels in the layout [count][3][side][side].
    package let pixels: [Float]
    package let labels: [Int]
    /// Images for the loss of the flow, without augmentation but flips, in the same layout; nil unless the feed was asked for them.
    /// They are those of the batch, or of another data set and then perhaps more or fewer.
    package let flowPixels: [Float]?
    /// The place of each image in the subset that is fed; none if the batch was made up.
    package let positions: [Int]

    /// Images in the batch; none if all of its images are damaged.
    package var count: Int { labels.count }

    package init(
        epoch: Int, index: Int, pixels: [Float], labels: [Int], flowPixels: [Float]? = nil, positions: [Int] = []
    ) {
        self.epoch = epoch
        self.index = index
        self.pixels = pixels
        self.labels = labels
        self.flowPixels = flowPixels
        self.positions = positions
    }
}

/// Batches of a data set: in every epoch each image once, or each class equally often, in another order and with random
/// augmentation.
///
/// A batch follows from the seed, its epoch and its index alone, so a run that is resumed in the middle of an epoch sees the same
/// batches. A damaged image that is skipped makes its batch smaller by one: the other images, their order and their augmentation
/// stay the same. Filling the gap with the next image was rejected, since every later batch would depend on earlier damage. Without
/// augmentation the pixels are bit for bit those of `Preprocessing.input(for:)`, so that training and evaluation agree.
package final class DataFeed: Sendable {
    /// What happens with the images at an epoch's end that don't fill a batch.
    package enum Remainder: Sendable {
        /// They are left out of that epoch, unless there are no others.
        case dropped
        /// They are a smaller batch.
        case kept
    }

    /// Which images batches have for the loss of the flow.
    package enum FlowImages: Sendable {
        case none
        /// Those of the batch without augmentation, mirrored at random if it mirrors.
        case own
        /// Those of another feed: step by step, the next of its batches.
        case other(DataFeed)
    }

    package struct Configuration: Sendable {
        package var batchSize: Int
        /// Determines order and augmentation.
        package var seed: UInt64
        package var augmentation = AugmentationPolicy.none
        package var flowImages = FlowImages.none
        /// Whether each epoch has another order; otherwise images come in the order of the data set.
        package var shuffles = true
        /// What happens with the images that don't fill a batch.
        package var remainder = Remainder.dropped
        package var balancesClasses = false
        package var damage = DamagePolicy.fail
        /// At what size large JPEGs are decoded where the square that evaluation sees is needed.
        package var decoding = DecodingMode.scaled
        /// Most bytes of decoded images kept in memory.
        package var cacheBytes = 512 << 20

        package init(batchSize: Int, seed: UInt64) {
            self.batchSize = batchSize
            self.seed = seed
        }
    }

    package let subset: LabelledSubset
    package let configuration: Configuration
    /// Batches of every epoch; at least one.
    package let batchesPerEpoch: Int
    /// The images found to be damaged so far, by their places in the subset.
    package let damaged: DamagedImages

    private let preprocessing: Preprocessing
    private let cache: DecodedImageCache
    /// The order of the epoch that was last asked for.
    private let latestOrder = Mutex<(epoch: Int, order: EpochOrder)?>(nil)

    /// Feeds `subset`, which isn't empty, as `preprocessing` prepares it.
    package init(_ subset: LabelledSubset, preprocessing: Preprocessing, _ configuration: Configuration) {
        precondition(subset.count > 0 && configuration.batchSize > 0, "a batch has at least one image")
        self.subset = subset
        self.configuration = configuration
        self.preprocessing = preprocessing
        let whole = subset.count / configuration.batchSize
        let rest = subset.count % configuration.batchSize
        batchesPerEpoch = whole + (rest > 0 && (configuration.remainder == .kept || whole == 0) ? 1 : 0)
        damaged = DamagedImages(of: subset.count, in: subset.images.path, configuration.damage)
        cache = DecodedImageCache(capacity: subset.count, byteLimit: configuration.cacheBytes)
    }

    /// Images of a batch; with `Remainder.kept` the last of an epoch may have fewer.
    package var imagesPerBatch: Int { min(configuration.batchSize, subset.count) }

    /// Side in pixels of the images fed.
    package var side: Int { preprocessing.cropSize }

    /// The bytes of memory that decoded images will still take, estimated from the mean of those that are there.
    package var expectedBytes: Int {
        if case .other(let feed) = configuration.flowImages { return cache.expectedBytes + feed.expectedBytes }
        return cache.expectedBytes
    }

    /// Makes a batch, on the calling thread.
    ///
    /// - Throws: `DataSetError` naming an image that can't be read, or that is damaged and not to be skipped.
    package func batch(epoch: Int, index: Int) throws(DataSetError) -> Batch {
        try batch(index, order: order(epoch: epoch), epoch: epoch)
    }

    /// Batches from a place on, without end, made ahead on another thread.
    ///
    /// - Parameter depth: most batches that wait to be taken; at least 1.
    func batches(fromEpoch epoch: Int = 0, index: Int = 0, depth: Int = 4) -> BatchStream {
        precondition(epoch >= 0 && index >= 0 && index <= batchesPerEpoch, "no such place in the epoch")
        return BatchStream(self, epoch: epoch, index: index, depth: depth)
    }

    /// Which images an epoch has, and in which order.
    func order(epoch: Int) -> EpochOrder {
        latestOrder.withLock { latest in
            if let latest, latest.epoch == epoch { return latest.order }
            let order = makeOrder(epoch: epoch)
            latest = (epoch, order)
            return order
        }
    }

    private func makeOrder(epoch: Int) -> EpochOrder {
        guard configuration.shuffles || configuration.balancesClasses else {
            return EpochOrder(positions: Array(0..<subset.count))
        }
        let seed = configuration.seed
        var random = RandomStream(seed: seed, Purpose.order.rawValue, epoch)
        guard configuration.balancesClasses else {
            return EpochOrder(positions: random.permutation(of: subset.count))
        }
        return EpochOrder(balancing: subset.labels, using: &random) { label, round in
            RandomStream(seed: seed, Purpose.balance.rawValue, epoch, label, round)
        }
    }

    func batch(_ index: Int, order: EpochOrder, epoch: Int) throws(DataSetError) -> Batch {
        let places = order.places(ofBatch: index, size: configuration.batchSize)
        let size = 3 * side * side
        var failure: DataSetError?
        var positions: [Int] = []
        let givesOwn = if case .own = configuration.flowImages { true } else { false }
        var flowPixels: [Float] = []
        let pixels = [Float](unsafeUninitializedCapacity: places.count * size) { buffer, count in
            for place in places where !damaged.contains(order.positions[place]) {
                do throws(DataSetError) {
                    let room = UnsafeMutableBufferPointer(rebasing: buffer[count..<count + size])
                    guard let source = try write(order, place, epoch: epoch, into: room) else { continue }
                    count += size
                    positions.append(order.positions[place])
                    if givesOwn { flowPixels += plain(source, order, place, epoch: epoch) }
                } catch {
                    failure = error
                    return
                }
            }
        }
        if let failure { throw failure }
        return Batch(
            epoch: epoch, index: index, pixels: pixels, labels: positions.map { subset.labels[$0] },
            flowPixels: givesOwn ? flowPixels : try otherFlowPixels(step: epoch * batchesPerEpoch + index),
            positions: positions)
    }

    /// The pixels of the other feed's batch for a step, counted from the first epoch's beginning; nil if there is no such feed.
    private func otherFlowPixels(step: Int) throws(DataSetError) -> [Float]? {
        guard case .other(let feed) = configuration.flowImages else { return nil }
        return try feed.batch(epoch: step / feed.batchesPerEpoch, index: step % feed.batchesPerEpoch).pixels
    }

    /// The uses of random numbers, one stream each.
    private enum Purpose: Int {
        case order, augmentation, balance, plain
    }

    private func random(_ purpose: Purpose, _ order: EpochOrder, _ place: Int, epoch: Int) -> RandomStream {
        let repetition = order.repetition(at: place)
        // Only an image that occurs again has a further key, so without balancing the numbers are those of its index.
        let keys = [purpose.rawValue, epoch, subset.indices[order.positions[place]]]
        return RandomStream(seed: configuration.seed, keys: repetition == 0 ? keys : keys + [repetition])
    }

    /// The pixels of an epoch's image without augmentation but a flip.
    private func plain(_ source: RGBImage, _ order: EpochOrder, _ place: Int, epoch: Int) -> [Float] {
        let isWhole = configuration.augmentation.needsWholePicture(side: side)
        let picture = isWhole ? preprocessing.croppedImage(for: source) : source
        var random = random(.plain, order, place, epoch: epoch)
        let policy = AugmentationPolicy(flips: configuration.augmentation.flips)
        return preprocessing.normalized(
            policy.picture(of: picture, side: side, fill: preprocessing.meanColor, using: &random))
    }

    /// Writes the pixels of an epoch's image.
    ///
    /// An image that can't be read at all is an error under every policy: then the disk fails or files are being deleted.
    ///
    /// - Returns: the decoded image; nil if it is damaged and left out.
    private func write(
        _ order: EpochOrder, _ place: Int, epoch: Int, into buffer: UnsafeMutableBufferPointer<Float>
    ) throws(DataSetError) -> RGBImage? {
        let position = order.positions[place]
        let source: RGBImage
        do throws(DataSetError) {
            source = try cache.image(at: position) { () throws(DataSetError) in try decoded(position) }
        } catch {
            guard error.kind == .malformed else { throw error }
            try damaged.add(position, error)
            return nil
        }
        let policy = configuration.augmentation
        var random = random(.augmentation, order, place, epoch: epoch)
        let picture = policy.picture(of: source, side: side, fill: preprocessing.meanColor, using: &random)
        preprocessing.normalize(picture, into: buffer)
        policy.erase(buffer, side: side, using: &random)
        return source
    }

    private func decoded(_ position: Int) throws(DataSetError) -> RGBImage {
        let (images, index) = (subset.images, subset.indices[position])
        let bytes = try images.bytes(at: index, maximumBytes: images.limits.maximumBytes)
        do throws(ImageError) {
            return configuration.augmentation.needsWholePicture(side: side)
                ? try ImageDecoder.decode(bytes, limits: images.limits)
                : try preprocessing.croppedImage(
                    for: bytes, limits: images.limits, decoding: configuration.decoding)
        } catch {
            throw DataSetError("\(images.path): \(images.items[index].path): \(error.message)")
        }
    }
}

/// Decoded images, as many as a limit of bytes allows. Those seen first stay.
private final class DecodedImageCache: Sendable {
    private struct State {
        var images: [RGBImage?]
        var room: Int
        var count = 0
    }

    private let state: Mutex<State>

    private let byteLimit: Int

    init(capacity: Int, byteLimit: Int) {
        self.byteLimit = byteLimit
        state = Mutex(State(images: [RGBImage?](repeating: nil, count: capacity), room: byteLimit))
    }

    /// By how many bytes the cache will still grow until every image has been seen.
    var expectedBytes: Int {
        state.withLock { state in
            guard state.count > 0 else { return 0 }
            let held = byteLimit - state.room
            return min(held / state.count * (state.images.count - state.count), state.room)
        }
    }

    func image(at index: Int, decoding: () throws(DataSetError) -> RGBImage) throws(DataSetError) -> RGBImage {
        if let image = state.withLock({ $0.images[index] }) { return image }
        let image = try decoding()
        state.withLock { state in
            guard state.images[index] == nil, image.pixels.count <= state.room else { return }
            state.room -= image.pixels.count
            state.count += 1
            state.images[index] = image
        }
        return image
    }
}
