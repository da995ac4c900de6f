private import Synchronization

/// Whether the queue is full, for those who can't wait for their turn on the actor. It may lag behind by a moment: the
/// actor's own decision is what counts.
final class FullQueue: Sendable {
    private let seconds = Atomic<Int>(0)

    /// Seconds after which it is worth trying again; nil while there is room.
    var retryAfter: Int? {
        get {
            let seconds = seconds.load(ordering: .relaxed)
            return seconds > 0 ? seconds : nil
        }
        set { seconds.store(newValue ?? 0, ordering: .relaxed) }
    }
}
