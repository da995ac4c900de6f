import Synchronization
import Training

/// Tells of the damaged images that the feeds of a run come across.
final class DamageReport: Sendable {
    private let feeds = Mutex<[DataFeed]>([])

    /// Takes a feed in.
    func watch(_ feed: DataFeed) { feeds.withLock { $0.append(feed) } }

    /// How many damaged images were left out so far.
    var count: Int { feeds.withLock { $0.reduce(0) { $0 + $1.damaged.count } } }

    /// Gives a line for every image that was found since this was last called.
    func tellNew(_ tell: (String) -> Void) {
        for feed in feeds.withLock({ $0 }) {
            for error in feed.damaged.takeNew() { tell("headwater: skipped: \(error)") }
        }
    }
}
