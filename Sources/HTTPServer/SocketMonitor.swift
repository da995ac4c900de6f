import CMicroHTTPD
import Files
import Glibc
import Synchronization

/// One thread on one epoll set for what libmicrohttpd doesn't watch: the listening socket, clients whose connection is
/// suspended, and sockets kept open for a client to read an early answer.
///
/// A thread of its own and not a Dispatch source: compute saturates Dispatch's threads.
final class SocketMonitor: Sendable {
    private enum Key {
        case wake, listener
        case client(UInt64)
        case lingering(Int32)

        private static let kindShift = 62

        init(_ code: UInt64) {
            let value = code & (1 << Self.kindShift - 1)
            switch code >> Self.kindShift {
            case 0: self = .client(value)
            case 1: self = .lingering(Int32(truncatingIfNeeded: value))
            case 2: self = .listener
            default: self = .wake
            }
        }

        var code: UInt64 {
            switch self {
            case .client(let id): id
            case .lingering(let socket): 1 << Self.kindShift | UInt64(UInt32(bitPattern: socket))
            case .listener: 2 << Self.kindShift
            case .wake: 3 << Self.kindShift
            }
        }
    }

    private let epoll: Int32
    private let wake: Int32
    private let tickMilliseconds: Int32
    /// What it reports to; the core has the monitor.
    private let core = Mutex<ServerCore?>(nil)
    private let thread = Mutex<pthread_t?>(nil)

    /// - Parameter tick: the time between ticks. Deadlines are noticed up to this much late.
    init(tick: Duration) throws(SystemError) {
        epoll = try SystemError.check("epoll_create1", epoll_create1(Int32(EPOLL_CLOEXEC)))
        wake = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        tickMilliseconds = Int32(
            clamping: tick.components.seconds * 1000 + tick.components.attoseconds / 1_000_000_000_000_000)
        // From here on deinit closes both.
        guard wake >= 0 else { throw SystemError(code: errno, call: "eventfd") }
        try control(EPOLL_CTL_ADD, wake, .wake, EPOLLIN.rawValue)
    }

    deinit {
        if wake >= 0 { close(wake) }
        close(epoll)
    }

    func start(reportingTo core: ServerCore) throws(ServerError) {
        self.core.withLock { $0 = core }
        var thread = pthread_t()
        let monitor = Unmanaged.passRetained(self)
        let status = pthread_create(&thread, nil, runSocketMonitor, monitor.toOpaque())
        guard status == 0 else {
            monitor.release()
            self.core.withLock { $0 = nil }
            throw .system(
                "the system refuses a thread (\(SystemError(code: status, call: "pthread_create"))): raise the limit of the "
                    + "address space (ulimit -v), of the user's processes (ulimit -u) or of the cgroup's (pids.max)")
        }
        self.thread.withLock { $0 = thread }
    }

    /// Ends the thread and waits for it.
    func stop() {
        guard let thread = thread.withLock({ $0.take() }) else { return }
        core.withLock { $0 = nil }
        var one: UInt64 = 1
        write(wake, &one, 8)
        pthread_join(thread, nil)
    }

    /// Reports waiting clients once, and again after each ``rearmListener(_:)``.
    func watchListener(_ socket: Int32) throws(SystemError) {
        try control(EPOLL_CTL_ADD, socket, .listener, EPOLLIN.rawValue | EPOLLONESHOT.rawValue)
    }

    func rearmListener(_ socket: Int32) {
        try? control(EPOLL_CTL_MOD, socket, .listener, EPOLLIN.rawValue | EPOLLONESHOT.rawValue)
    }

    /// Reports once when the client has closed its sending side or is gone. Incoming bytes don't count.
    func watchClient(_ id: UInt64, socket: Int32) throws(SystemError) {
        try control(EPOLL_CTL_ADD, socket, .client(id), EPOLLRDHUP.rawValue | EPOLLONESHOT.rawValue)
    }

    /// Reports once more, at once if the client has already closed its sending side.
    func rewatchClient(_ id: UInt64, socket: Int32) {
        try? control(EPOLL_CTL_MOD, socket, .client(id), EPOLLRDHUP.rawValue | EPOLLONESHOT.rawValue)
    }

    /// Reports once more, when a client that has closed its sending side is gone.
    func watchForEnd(of id: UInt64, socket: Int32) {
        try? control(EPOLL_CTL_MOD, socket, .client(id), EPOLLONESHOT.rawValue)
    }

    func watchLingering(_ socket: Int32) throws(SystemError) {
        try control(EPOLL_CTL_ADD, socket, .lingering(socket), EPOLLIN.rawValue | EPOLLRDHUP.rawValue)
    }

    /// Forgets a socket. To be called before it is closed.
    func unwatch(_ socket: Int32) {
        var event = epoll_event()
        epoll_ctl(epoll, EPOLL_CTL_DEL, socket, &event)
    }

    private func control(_ operation: Int32, _ socket: Int32, _ key: Key, _ events: UInt32) throws(SystemError) {
        var event = epoll_event(events: events, data: epoll_data_t(u64: key.code))
        try SystemError.check("epoll_ctl", epoll_ctl(epoll, operation, socket, &event))
    }

    fileprivate func run() {
        var events = [epoll_event](repeating: epoll_event(), count: 256)
        var nextTick = ContinuousClock.now + .milliseconds(Int(tickMilliseconds))
        while true {
            let count = epoll_wait(epoll, &events, Int32(events.count), tickMilliseconds)
            guard let core = core.withLock({ $0 }) else { return }
            for event in events.prefix(Int(max(0, count))) { report(event, to: core) }
            let now = ContinuousClock.now
            if now >= nextTick {
                core.tick(now)
                nextTick = now + .milliseconds(Int(tickMilliseconds))
            }
        }
    }

    private func report(_ event: epoll_event, to core: ServerCore) {
        switch Key(event.data.u64) {
        case .wake: break
        case .listener: core.clientsWaiting()
        case .client(let id):
            core.clientEnded(id, entirely: event.events & (EPOLLHUP.rawValue | EPOLLERR.rawValue) != 0)
        case .lingering(let socket): core.lingeringReadable(socket)
        }
    }
}

private func runSocketMonitor(_ monitor: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let monitor else { return nil }
    CLinuxNameThisThread("http-monitor")
    Unmanaged<SocketMonitor>.fromOpaque(monitor).takeRetainedValue().run()
    return nil
}
