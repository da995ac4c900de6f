import Synchronization

/// Counts the requests in progress, and tells when there are none.
final class Activity: Sendable {
    private struct State {
        var counters = ServerCounters()
        var isStopping = false
        var waiters: [UInt64: CheckedContinuation<Bool, Never>] = [:]
        var lastWaiter: UInt64 = 0

        /// No request is active, and no thread is inside a resumption.
        var isQuiet: Bool { counters.activeRequests == 0 && counters.suspendedConnections == 0 }
    }

    private let state = Mutex(State())

    var counters: ServerCounters { state.withLock { $0.counters } }

    func update(_ change: (inout ServerCounters) -> Void) {
        state.withLock { change(&$0.counters) }
    }

    /// Counts a connection that is about to be suspended; false once the server is stopping.
    func beginSuspension() -> Bool {
        state.withLock {
            guard !$0.isStopping else { return false }
            $0.counters.suspendedConnections += 1
            return true
        }
    }

    /// Counts a connection that was resumed. Call it after the resumption has returned, since that uses the daemon to its end.
    func endSuspension() {
        change { $0.suspendedConnections -= 1 }
    }

    func requestEnded() {
        change {
            $0.activeRequests -= 1
            $0.endedRequests += 1
        }
    }

    func startStopping() { state.withLock { $0.isStopping = true } }

    /// Waits until no request is active. False if that lasted longer than `timeout`.
    func waitUntilQuiet(timeout: Duration) async -> Bool {
        var alarm: Task<Void, Never>?
        defer { alarm?.cancel() }
        return await withCheckedContinuation { continuation in
            let waiter: UInt64? = state.withLock { state in
                guard !state.isQuiet else { return nil }
                state.lastWaiter += 1
                state.waiters[state.lastWaiter] = continuation
                return state.lastWaiter
            }
            guard let waiter else { return continuation.resume(returning: true) }
            // After the waiter is registered: the alarm may ring at once.
            alarm = Task {
                try? await Task.sleep(for: timeout)
                state.withLock { $0.waiters.removeValue(forKey: waiter) }?.resume(returning: false)
            }
        }
    }

    private func change(_ change: (inout ServerCounters) -> Void) {
        let waiters = state.withLock { state in
            change(&state.counters)
            guard state.isQuiet else { return [CheckedContinuation<Bool, Never>]() }
            defer { state.waiters = [:] }
            return Array(state.waiters.values)
        }
        for waiter in waiters { waiter.resume(returning: true) }
    }
}
