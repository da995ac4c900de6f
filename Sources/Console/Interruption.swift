import Glibc
import Synchronization

/// Lets SIGINT and SIGTERM cancel a command, so that what it was writing is taken back before the process ends.
package enum Interruption {
    private struct State {
        var signals = StopSignals()
        var received: Int32?
    }

    /// Runs `body`; it should end soon once its task is cancelled, with `CancellationError` if that is why it ends. The signal
    /// then ends the process as if it had not been caught, which is what shells and supervisors look for. A second signal
    /// ends it at once, unless it comes within a second of the first.
    ///
    /// - Throws: what `body` throws, unless it is that it was cancelled by a signal: a disk that is full when an interrupted
    ///   command saves must be heard of.
    package static func cancelling(_ body: @escaping @MainActor () async throws -> ExitStatus) async throws
        -> ExitStatus
    {
        let state = Mutex(State())
        let task = Task { @MainActor in try await body() }
        try SignalThread.shared.handle([SIGINT, SIGTERM]) { number in
            let meaning = state.withLock { state in
                state.received = state.received ?? number
                return state.signals.receive(at: .now)
            }
            switch meaning {
            case .stop: task.cancel()
            case .repetition: break
            case .end: end(by: number)
            }
        }
        defer { SignalThread.shared.release([SIGINT, SIGTERM]) }
        do {
            return try await task.value
        } catch let error as CancellationError {
            guard let number = state.withLock({ $0.received }) else { throw error }
            end(by: number)
        }
    }

    private static func end(by number: Int32) -> Never {
        TerminalLine.standardError.close()
        signal(number, SIG_DFL)
        // Dispatch's threads block all signals.
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, number)
        pthread_sigmask(SIG_UNBLOCK, &signals, nil)
        raise(number)
        // Reached only by the first process of a container, which the kernel spares the default action.
        ProcessExit.endNow(code: 128 + number)
    }
}
