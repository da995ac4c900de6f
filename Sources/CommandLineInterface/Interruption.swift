import Dispatch
import Synchronization

#if canImport(Glibc)
    import Glibc
#endif

/// Lets SIGINT and SIGTERM cancel a command, so that what it was writing is taken back before the process ends.
enum Interruption {
    /// Runs `body`; it should end soon once its task is cancelled, with `CancellationError` if that is why it ends. The signal
    /// then ends the process as if nobody had caught it, which is what shells and supervisors look for. A second signal ends
    /// it at once.
    ///
    /// - Throws: what `body` throws, unless it is that it was cancelled by a signal: a disk that is full when an interrupted
    ///   command saves must be heard of.
    static func cancelling(_ body: @escaping @MainActor () async throws -> ExitStatus) async throws -> ExitStatus {
        let received = Atomic<Int32>(0)
        let task = Task { @MainActor in try await body() }
        let sources = [SIGINT, SIGTERM].map { number in
            // Dispatch is told of a signal even where it is ignored; else it would end the process.
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global(qos: .userInitiated))
            source.setEventHandler {
                guard received.exchange(number, ordering: .relaxed) == 0 else { end(by: number) }
                task.cancel()
            }
            source.resume()
            return source
        }
        defer {
            for source in sources { source.cancel() }
        }
        do {
            return try await task.value
        } catch is CancellationError where received.load(ordering: .relaxed) != 0 {
            end(by: received.load(ordering: .relaxed))
        }
    }

    private static func end(by number: Int32) -> Never {
        signal(number, SIG_DFL)
        // Dispatch's threads block all signals.
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, number)
        pthread_sigmask(SIG_UNBLOCK, &signals, nil)
        raise(number)
        // Reached only by the first process of a container, which the kernel spares the default action.
        exit(128 + number)
    }
}
