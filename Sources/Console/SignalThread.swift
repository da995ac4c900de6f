import CProcess
import Glibc
import Synchronization

/// The thread that takes the process's signals, and watches over its start.
///
/// It is the first thread that the program starts, by itself: Dispatch's signal sources need Dispatch's threads, and a
/// process to which the system refuses more threads would no longer hear SIGTERM.
package final class SignalThread: Sendable {
    /// Called on the thread, so it must be quick.
    package typealias Action = @Sendable (Int32) -> Void

    private struct State {
        var isRunning = false
        var actions: [Int32: Action] = [:]
        var watchesStart = false
    }

    package static let shared = SignalThread()

    private let state = Mutex(State())

    /// Starts the thread, unless it runs already.
    ///
    /// - Parameter watchesStart: until ``startIsOver()``, the thread ends the process with an error if the system refuses
    ///   it further threads for good.
    /// - Throws: `CommandFailure` if the system has no thread or no descriptors to give.
    package func start(watchesStart: Bool = false) throws {
        try state.withLock { state in
            guard !state.isRunning else { return }
            state.watchesStart = watchesStart
            let pipe = CProcessOpenSignals()
            guard pipe >= 0 else { throw Self.failure("pipe", errno) }
            var attributes = pthread_attr_t()
            pthread_attr_init(&attributes)
            defer { pthread_attr_destroy(&attributes) }
            // Enough to write a log line; an ordinary stack takes 8 MiB of the address space.
            pthread_attr_setstacksize(&attributes, 512 << 10)
            var thread = pthread_t()
            let status = pthread_create(&thread, &attributes, { _ in SignalThread.shared.run() }, nil)
            guard status == 0 else { throw Self.failure("pthread_create", status) }
            pthread_detach(thread)
            state.isRunning = true
        }
    }

    /// Has `action` called at each of these signals, instead of what was done before.
    ///
    /// - Throws: `CommandFailure` if the thread can't be started.
    package func handle(_ numbers: [Int32], _ action: @escaping Action) throws {
        try start()
        state.withLock { state in for number in numbers { state.actions[number] = action } }
        for number in numbers where CProcessCatchSignal(number) != 0 { throw Self.failure("sigaction", errno) }
    }

    /// Gives signals back to their default action.
    package func release(_ numbers: [Int32]) {
        for number in numbers { signal(number, SIG_DFL) }
        state.withLock { state in for number in numbers { state.actions[number] = nil } }
    }

    /// The process has the threads that it needs.
    package func startIsOver() { state.withLock { $0.watchesStart = false } }

    private func run() -> UnsafeMutableRawPointer? {
        CProcessNameThisThread("signals")
        let pipe = CProcessOpenSignals()
        var shortage = ThreadShortage()
        while true {
            let interval = Int32(ThreadShortage.interval / .milliseconds(1))
            var request = pollfd(fd: pipe, events: Int16(POLLIN), revents: 0)
            let count = poll(&request, 1, state.withLock { $0.watchesStart } ? interval : -1)
            if count > 0 { deliver(from: pipe) }
            guard count == 0, state.withLock({ $0.watchesStart }) else { continue }
            if shortage.attempted(succeeded: Self.canStartThread(), at: .now) {
                let failure = Self.failure("pthread_create", EAGAIN)
                ProcessExit.end(failure.status, reporting: failure)
            }
        }
    }

    private func deliver(from pipe: Int32) {
        var number: UInt8 = 0
        while read(pipe, &number, 1) == 1 {
            let action = state.withLock { $0.actions[Int32(number)] }
            action?(Int32(number))
        }
    }

    /// Whether the system gives a thread as Dispatch asks for one.
    private static func canStartThread() -> Bool {
        var thread = pthread_t()
        guard pthread_create(&thread, nil, { _ in nil }, nil) == 0 else { return false }
        pthread_join(thread, nil)
        return true
    }

    private static func failure(_ call: String, _ number: Int32) -> CommandFailure {
        CommandFailure(
            .unavailable,
            "the system refuses this process the threads that it needs (\(call): "
                + "\(String(cString: strerror(number)))): raise the limit of its address space (ulimit -v), of the "
                + "user's processes (ulimit -u) or of the cgroup's (pids.max)")
    }
}
