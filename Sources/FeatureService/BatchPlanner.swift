package enum BatchingMode: String, Sendable, CaseIterable {
    /// Images join at every ODE step, whatever is under way.
    case step
    /// Images join only when the batch under way has finished its whole pass, as servers that know nothing of the
    /// model's steps must do it; kept to be measured against.
    case request
}

/// Names an image in the service.
package struct ImageID: Hashable, Sendable, Comparable {
    let number: UInt64

    /// Earlier admitted images come first.
    package static func < (a: ImageID, b: ImageID) -> Bool { a.number < b.number }
}

/// Decides who is in the next batch. A pure value: no threads and no clock.
///
/// First come, first served: images leave the queue in the order of their admission and then take part in every step
/// until they are finished, so that no image can starve. A batch is of one model: after a swap, the queue stops at the
/// first image of another one until those in flight are finished.
package struct BatchPlanner<Model: Hashable & Sendable>: Sendable {
    /// An image in the queue or in flight.
    struct Entry: Sendable {
        let id: ImageID
        let model: Model
    }

    let batchLimit: Int
    let mode: BatchingMode
    private(set) var waiting: [Entry] = []
    private(set) var inFlight: [Entry] = []

    init(batchLimit: Int, mode: BatchingMode) {
        precondition(batchLimit > 0)
        self.batchLimit = batchLimit
        self.mode = mode
    }

    var isEmpty: Bool { waiting.isEmpty && inFlight.isEmpty }

    /// Puts an image at the queue's end.
    mutating func enqueue(_ id: ImageID, model: Model) {
        waiting.append(Entry(id: id, model: model))
    }

    /// What one step computes.
    struct Batch: Sendable, Equatable {
        let model: Model
        /// Everyone in the batch, oldest first.
        let images: [ImageID]
        /// Those of them that were waiting until now.
        let joined: [ImageID]
    }

    /// Moves images from the queue into the batch under way as far as there is room, and says whom to step.
    mutating func next() -> Batch? {
        guard let model = (inFlight.first ?? waiting.first)?.model else { return nil }
        var joined: ArraySlice<Entry> = []
        if mode == .step || inFlight.isEmpty {
            joined = waiting.prefix(batchLimit - inFlight.count).prefix { $0.model == model }
            inFlight += joined
            waiting.removeFirst(joined.count)
        }
        return Batch(model: model, images: inFlight.map(\.id), joined: joined.map(\.id))
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
