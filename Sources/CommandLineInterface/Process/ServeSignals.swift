import Console
import Glibc
import Synchronization
import Telemetry

/// What `headwater serve` does at signals: SIGTERM and SIGINT stop it, SIGHUP has it read its files again.
final class ServeSignals: Sendable {
    private struct State {
        var signals = StopSignals()
        var isServing = false
    }

    /// An element for every SIGHUP; those that come while one is being dealt with are one.
    let reloads: AsyncStream<Void>
    private let stops: AsyncStream<Void>
    private let state = Mutex(State())

    /// Takes the signals over, for the rest of the process's life.
    ///
    /// - Throws: `CommandFailure` if the system has no thread for them.
    init(logger: Logger) throws {
        let (stops, stop) = AsyncStream.makeStream(of: Void.self)
        let (reloads, reload) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        self.stops = stops
        self.reloads = reloads
        try SignalThread.shared.handle([SIGTERM, SIGINT]) { [self] _ in
            let (meaning, isServing) = state.withLock { ($0.signals.receive(at: .now), $0.isServing) }
            switch meaning {
            case .stop where isServing: stop.yield()
            case .stop:
                // Nothing has been asked of it but whether it is ready, and reading the model may take minutes.
                logger.info("stopped", ["complete": true, "reason": "stopped before it was ready"])
                ProcessExit.endNow(.success)
            case .repetition: break
            case .end:
                logger.warning("stopped", ["complete": false, "reason": "a second signal"])
                ProcessExit.endNow(.internalFault)
            }
        }
        try SignalThread.shared.handle([SIGHUP]) { _ in reload.yield() }
    }

    /// From now on the first signal lets what is in flight end.
    func beginServing() { state.withLock { $0.isServing = true } }

    /// Waits for the first signal that asks to stop.
    func stopRequest() async {
        for await _ in stops { return }
    }
}
