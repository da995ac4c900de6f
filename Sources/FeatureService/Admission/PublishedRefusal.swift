private import Synchronization

/// Why one more image would be refused, for those who can't wait for their turn on the actor. It may lag behind by a moment:
/// the actor's own decision is what counts.
final class PublishedRefusal: Sendable {
    private let refusal = Mutex<AdmissionRefusal?>(nil)

    /// Nil while there is room.
    var current: AdmissionRefusal? {
        get { refusal.withLock { $0 } }
        set { refusal.withLock { $0 = newValue } }
    }
}
