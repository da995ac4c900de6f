import Synchronization

/// The time, which stands still until a test moves it forward.
public final class ManualClock: Sendable {
    private let time = Mutex(ContinuousClock.now)

    /// Starts at the present time.
    public init() {}

    /// The time as far as it has been moved.
    public var now: ContinuousClock.Instant { time.withLock { $0 } }

    /// Moves the time forward.
    public func advance(by duration: Duration) { time.withLock { $0 += duration } }
}
