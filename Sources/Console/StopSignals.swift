/// What signals that ask a process to stop mean, one after the other. A decision over times passed in.
///
/// Supervisors send SIGTERM twice: to the process and to its group, or from two components that both want it gone. So
/// what comes within `repetition` of the first signal is that signal again. A later one is a person who doesn't want to
/// wait.
package struct StopSignals: Sendable {
    /// What to do about a signal.
    package enum Meaning: Sendable, Equatable {
        /// The first: stop in order.
        case stop
        /// The first once more: nothing.
        case repetition
        /// End at once.
        case end
    }

    /// How long after the first signal another one is still the same.
    package static let repetition: Duration = .seconds(1)

    private var first: ContinuousClock.Instant?

    package init() {}

    /// What a signal means that arrives now.
    package mutating func receive(at now: ContinuousClock.Instant) -> Meaning {
        guard let first else {
            first = now
            return .stop
        }
        return first.duration(to: now) < Self.repetition ? .repetition : .end
    }
}
