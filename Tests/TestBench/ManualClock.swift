import Synchronization

/// The time, which stands still until a test moves it forward.
package final class ManualClock: Sendable {
    private let time = Mutex(ContinuousClock.now)

    /// Starts at the present time.
    package init() {}

    /// The time as far as it has been moved.
    package var now: ContinuousClock.Instant { time.withLock { $0 } }

    /// Moves the time forward.
    package func advance(by duration: Duration) { time.withLock { $0 += duration } }
}
