/// The work that has been admitted and is not done, and how long it will take at the present rate. A pure value.
///
/// Work is counted in floating-point operations rather than in images: these are at different places of the grid, ask for
/// different taps, and after a swap are of different models. The rate of operations is nearly the same for all of those.
struct Backlog: Sendable {
    private struct Image {
        var operations: Double
        var isEncoded: Bool
    }

    private let decoders: Int
    private let shareOfLeastWork: Double
    private var images: [ImageID: Image] = [:]
    /// The number of reserved images, by the operations of each.
    private var reserved: [Double: Int] = [:]
    /// The operations of all images and reservations.
    private var total = 0.0
    private var encoded = 0
    /// The operations of an image that a usual request asks for. What is ahead of it is known without adding up.
    private(set) var usual = 0.0
    private var usualTotal = 0.0
    private var evaluation = WorkRate()
    private var decoding = WorkRate()

    /// No work.
    ///
    /// - Parameters:
    ///   - decoders: how many images are decoded at the same time.
    ///   - shareOfLeastWork: the part of a full batch that goes to the images with the least work left, 0 to 1.
    init(decoders: Int, shareOfLeastWork: Double) {
        self.decoders = decoders
        self.shareOfLeastWork = shareOfLeastWork
    }

    /// Whether there is nothing to do.
    var isEmpty: Bool { images.isEmpty && reserved.isEmpty }

    /// Images that are not done, those reserved for left out.
    var imageCount: Int { images.count }

    /// Seconds until all of it is done. Decoding and evaluating overlap, so the slower one counts.
    var seconds: Double { seconds(for: total) }

    /// Seconds until what goes before an image of so many operations is done: all work, or what goes first in its part of the
    /// batch if that is less.
    func seconds(aheadOf work: Double) -> Double {
        let first = shareOfLeastWork > 0 ? operations(atMost: work) / shareOfLeastWork : total
        return seconds(for: min(total, first))
    }

    private func seconds(for operations: Double) -> Double {
        max(evaluation.seconds(for: operations), decoding.seconds(for: Double(encoded)) / Double(decoders))
    }

    /// The operations of the images, and of those that room is reserved for, that have at most so many left.
    private func operations(atMost limit: Double) -> Double {
        if limit <= 0 { return 0 }
        return limit == usual ? usualTotal : sum(atMost: limit)
    }

    private func sum(atMost limit: Double) -> Double {
        images.values.reduce(0) { $0 + ($1.operations <= limit ? $1.operations : 0) }
            + reserved.reduce(0) { $0 + ($1.key <= limit ? $1.key * Double($1.value) : 0) }
    }

    /// Notes the operations of an image that a usual request asks for.
    mutating func setUsual(operations: Double) {
        usual = operations
        usualTotal = sum(atMost: operations)
    }

    // MARK: What is to be done

    /// Makes room for images of a request that are not known one by one yet.
    mutating func reserve(_ count: Int, operations: Double) {
        reserved[operations, default: 0] += count
        change(by: operations, times: count)
    }

    /// Takes a reservation back, when the images are registered or the request has ended.
    mutating func release(_ count: Int, operations: Double) {
        let left = (reserved[operations] ?? 0) - count
        reserved[operations] = left > 0 ? left : nil
        change(by: operations, times: -count)
    }

    mutating func add(_ image: ImageID, operations: Double, isEncoded: Bool) {
        images[image] = Image(operations: operations, isEncoded: isEncoded)
        change(by: operations, times: 1)
        if isEncoded { encoded += 1 }
    }

    /// The operations that images have left.
    func operations(of ids: [ImageID]) -> Double { ids.reduce(0) { $0 + (images[$1]?.operations ?? 0) } }

    /// Notes how much of an image's work is left.
    mutating func setOperations(_ operations: Double, of image: ImageID) {
        guard let old = images[image]?.operations else { return }
        images[image]!.operations = operations
        change(by: old, times: -1)
        change(by: operations, times: 1)
    }

    /// Forgets an image that is done or that no request waits for any more.
    mutating func remove(_ image: ImageID) {
        guard let old = images.removeValue(forKey: image) else { return }
        if old.isEncoded { encoded -= 1 }
        change(by: old.operations, times: -1)
    }

    private mutating func change(by operations: Double, times count: Int) {
        // However often sums were rounded, nothing stays behind.
        total = isEmpty ? 0 : max(0, total + operations * Double(count))
        if operations <= usual { usualTotal = isEmpty ? 0 : max(0, usualTotal + operations * Double(count)) }
    }

    // MARK: How fast it is done

    /// Notes that a step computed so much in so many seconds.
    mutating func stepped(operations: Double, seconds: Double) { evaluation.record(operations, in: seconds) }

    /// Notes what a model took to warm up: the first estimate, until a request's step is measured.
    mutating func warmedUp(operations: Double, seconds: Double) {
        if !evaluation.isMeasured { evaluation.record(operations, in: seconds) }
    }

    /// Notes that an image has been decoded, or could not be, in so many seconds of a decoder's time.
    mutating func decoded(_ image: ImageID, seconds: Double) {
        decoding.record(1, in: seconds)
        guard images[image]?.isEncoded == true else { return }
        images[image]!.isEncoded = false
        encoded -= 1
    }
}
