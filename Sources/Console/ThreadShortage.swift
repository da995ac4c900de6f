/// Whether a process that is starting will never get the threads that it needs, judged from attempts to start one. A
/// decision over times passed in.
///
/// Dispatch retries for ever, once a second, when the system refuses it a thread (`ulimit -v`, `ulimit -u`, a cgroup's
/// `pids.max`). The process would then neither start nor fail.
struct ThreadShortage: Sendable {
    /// How long threads must have been refused, without a success in between.
    static let patience: Duration = .milliseconds(500)
    /// The time between two attempts.
    static let interval: Duration = .milliseconds(250)

    private var since: ContinuousClock.Instant?

    /// Whether to give up.
    mutating func attempted(succeeded: Bool, at now: ContinuousClock.Instant) -> Bool {
        guard !succeeded else {
            since = nil
            return false
        }
        let since = since ?? now
        self.since = since
        return since.duration(to: now) >= Self.patience
    }
}
