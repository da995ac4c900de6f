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
    private var images: [ImageID: Image] = [:]
    private var reservations = 0
    private var reserved = 0.0
    private var registered = 0.0
    private var encoded = 0
    private var evaluation = WorkRate()
    private var decoding = WorkRate()

    /// No work, of a service that decodes so many images at a time.
    init(decoders: Int) { self.decoders = decoders }

    /// Whether there is nothing to do.
    var isEmpty: Bool { images.isEmpty && reservations == 0 }

    /// Images that are not done, those reserved for left out.
    var imageCount: Int { images.count }

    /// Seconds until all of it is done. Decoding and evaluating overlap, so the slower one counts.
    var seconds: Double {
        max(evaluation.seconds(for: registered + reserved), decoding.seconds(for: Double(encoded)) / Double(decoders))
    }

    // MARK: What is to be done

    /// Makes room for a request whose images are not known one by one yet.
    mutating func reserve(operations: Double) {
        reservations += 1
        reserved += operations
    }

    /// Takes a reservation back, when the images are registered or the request has ended.
    mutating func release(operations: Double) {
        reservations -= 1
        reserved = reservations == 0 ? 0 : max(0, reserved - operations)
    }

    mutating func add(_ image: ImageID, operations: Double, isEncoded: Bool) {
        images[image] = Image(operations: operations, isEncoded: isEncoded)
        registered += operations
        if isEncoded { encoded += 1 }
    }

    /// The operations that images have left.
    func operations(of ids: [ImageID]) -> Double { ids.reduce(0) { $0 + (images[$1]?.operations ?? 0) } }

    /// Notes how much of an image's work is left.
    mutating func setOperations(_ operations: Double, of image: ImageID) {
        guard let old = images[image]?.operations else { return }
        images[image]!.operations = operations
        registered = max(0, registered + operations - old)
    }

    /// Forgets an image that is done or that no request waits for any more.
    mutating func remove(_ image: ImageID) {
        guard let old = images.removeValue(forKey: image) else { return }
        if old.isEncoded { encoded -= 1 }
        // However often sums were rounded, nothing stays behind.
        registered = images.isEmpty ? 0 : max(0, registered - old.operations)
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
