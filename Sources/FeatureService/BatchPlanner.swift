package enum BatchingMode: String, Sendable, CaseIterable {
    /// Images join at every ODE step, whatever is under way.
    case step
    /// Images join only when the batch under way has finished its whole pass, as in servers that don't know the model's steps. It
    /// exists for comparison.
    case request
}

/// Names an image in the service.
package struct ImageID: Hashable, Sendable {
    let number: UInt64
}

/// Decides who is in the next batch. A pure value: no threads and no clock.
///
/// An image keeps its state between two steps, so each step may choose. If there are more images than places, the oldest get one
/// half of these, so that no image starves. Those with the least work left get the other half, so that an image that needs one
/// evaluation doesn't wait for the long passes of others. Where all need equally much, they are served in the order of admission.
///
/// A batch is of one model: after a swap, the queue stops at the first image of another one until those in flight are
/// finished.
package struct BatchPlanner<Model: Hashable & Sendable>: Sendable {
    /// An image in the queue or in flight.
    struct Entry: Sendable {
        let id: ImageID
        let model: Model
        /// Its place among all that were ever queued.
        let order: UInt64
        /// Floating-point operations that it has left.
        var work: Double
    }

    let batchLimit: Int
    let mode: BatchingMode
    private(set) var waiting: [Entry] = []
    /// Images that have begun, in that order.
    private(set) var inFlight: [Entry] = []
    private var queuedCount: UInt64 = 0

    init(batchLimit: Int, mode: BatchingMode) {
        precondition(batchLimit > 0)
        self.batchLimit = batchLimit
        self.mode = mode
    }

    var isEmpty: Bool { waiting.isEmpty && inFlight.isEmpty }

    /// How many of the images in flight rest while a full batch is computed.
    var restingCount: Int { max(0, inFlight.count - batchLimit) }

    /// The places of a full batch for the images with the least work left.
    static func placesForLeastWork(ofBatch limit: Int, mode: BatchingMode) -> Int { mode == .step ? limit / 2 : 0 }

    /// Puts an image at the queue's end.
    mutating func enqueue(_ id: ImageID, model: Model, work: Double) {
        waiting.append(Entry(id: id, model: model, order: queuedCount, work: work))
        queuedCount += 1
    }

    /// Notes the operations that images in flight have left.
    mutating func setWork(_ left: [ImageID: Double]) {
        for place in inFlight.indices {
            if let work = left[inFlight[place].id] { inFlight[place].work = work }
        }
    }

    /// What one step computes.
    struct Batch: Sendable, Equatable {
        let model: Model
        /// Everyone in the batch, in the order in which they began.
        let images: [ImageID]
        /// Those of them that were waiting until now.
        let joined: [ImageID]
    }

    /// Says which images to step. Those of them that were waiting are in flight from then on.
    mutating func next() -> Batch? {
        guard let model = (inFlight.first ?? waiting.first)?.model else { return nil }
        let eligible = mode == .step || inFlight.isEmpty ? waiting.prefix { $0.model == model } : []
        let chosen = Self.chosen(of: inFlight + eligible, batchLimit: batchLimit, mode: mode)
        let joined = eligible.filter { chosen.contains($0.id) }
        if !joined.isEmpty {
            inFlight += joined
            waiting.removeAll { chosen.contains($0.id) }
        }
        let images = inFlight.lazy.map(\.id).filter(chosen.contains)
        return Batch(model: model, images: Array(images), joined: joined.map(\.id))
    }

    private static func chosen(of entries: [Entry], batchLimit: Int, mode: BatchingMode) -> Set<ImageID> {
        guard entries.count > batchLimit else { return Set(entries.map(\.id)) }
        let forLeastWork = placesForLeastWork(ofBatch: batchLimit, mode: mode)
        let byAge = entries.sorted { $0.order < $1.order }
        let oldest = byAge.prefix(batchLimit - forLeastWork)
        // Sorting is stable: of equal ones, the oldest come first.
        let quickest = byAge.dropFirst(oldest.count).sorted { $0.work < $1.work }.prefix(forLeastWork)
        return Set((oldest + quickest).map(\.id))
    }

    /// Takes images out wherever they are: finished, failed or no longer wanted.
    mutating func remove(_ ids: Set<ImageID>) {
        guard !ids.isEmpty else { return }
        waiting.removeAll { ids.contains($0.id) }
        inFlight.removeAll { ids.contains($0.id) }
    }

    /// Whether an image still takes part of that model's work.
    func uses(_ model: Model) -> Bool {
        inFlight.contains { $0.model == model } || waiting.contains { $0.model == model }
    }
}
