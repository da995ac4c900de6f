import CMicroHTTPD
import Glibc
import Synchronization

/// What a ``SocketMonitor`` reports, on its own thread.
protocol SocketMonitorDelegate: AnyObject, Sendable {
    /// Clients are waiting to be accepted.
    func clientsWaiting()
    /// A watched client has closed its sending side or, if `entirely`, is gone.
    func clientEnded(_ id: UInt64, entirely: Bool)
    /// A lingering socket can be read or has ended.
    func lingeringReadable(_ socket: Int32)
    /// A tick has passed.
    func tick(_ now: ContinuousClock.Instant)
}

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
    private let delegate = Mutex<(any SocketMonitorDelegate)?>(nil)
    private let thread = Mutex<pthread_t?>(nil)

    /// - Parameter tick: the time between ticks. Deadlines are noticed up to this much late.
    init(tick: Duration) throws(SystemCallFailure) {
        epoll = try SystemCallFailure.check("epoll_create1", epoll_create1(Int32(EPOLL_CLOEXEC)))
        wake = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        tickMilliseconds = Int32(
            clamping: tick.components.seconds * 1000 + tick.components.attoseconds / 1_000_000_000_000_000)
        // From here on deinit closes both.
        guard wake >= 0 else { throw SystemCallFailure(call: "eventfd", number: errno) }
        try control(EPOLL_CTL_ADD, wake, .wake, EPOLLIN.rawValue)
    }

    deinit {
        if wake >= 0 { close(wake) }
        close(epoll)
    }

    func start(_ delegate: any SocketMonitorDelegate) throws(SystemCallFailure) {
        self.delegate.withLock { $0 = delegate }
        var thread = pthread_t()
        let monitor = Unmanaged.passRetained(self)
        let status = pthread_create(&thread, nil, runSocketMonitor, monitor.toOpaque())
        guard status == 0 else {
            monitor.release()
            self.delegate.withLock { $0 = nil }
            throw SystemCallFailure(call: "pthread_create", number: status)
        }
        self.thread.withLock { $0 = thread }
    }

    /// Ends the thread and waits for it.
    func stop() {
        guard let thread = thread.withLock({ $0.take() }) else { return }
        delegate.withLock { $0 = nil }
        var one: UInt64 = 1
        write(wake, &one, 8)
        pthread_join(thread, nil)
    }

    /// Reports waiting clients once, and again after each ``rearmListener(_:)``.
    func watchListener(_ socket: Int32) throws(SystemCallFailure) {
        try control(EPOLL_CTL_ADD, socket, .listener, EPOLLIN.rawValue | EPOLLONESHOT.rawValue)
    }

    func rearmListener(_ socket: Int32) {
        try? control(EPOLL_CTL_MOD, socket, .listener, EPOLLIN.rawValue | EPOLLONESHOT.rawValue)
    }

    /// Reports once when the client has closed its sending side or is gone. Incoming bytes don't count.
    func watchClient(_ id: UInt64, socket: Int32) throws(SystemCallFailure) {
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

    func watchLingering(_ socket: Int32) throws(SystemCallFailure) {
        try control(EPOLL_CTL_ADD, socket, .lingering(socket), EPOLLIN.rawValue | EPOLLRDHUP.rawValue)
    }

    /// Forgets a socket. To be called before it is closed.
    func unwatch(_ socket: Int32) {
        var event = epoll_event()
        epoll_ctl(epoll, EPOLL_CTL_DEL, socket, &event)
    }

    private func control(_ operation: Int32, _ socket: Int32, _ key: Key, _ events: UInt32) throws(SystemCallFailure) {
        var event = epoll_event(events: events, data: epoll_data_t(u64: key.code))
        try SystemCallFailure.check("epoll_ctl", epoll_ctl(epoll, operation, socket, &event))
    }

    fileprivate func run() {
        var events = [epoll_event](repeating: epoll_event(), count: 256)
        var nextTick = ContinuousClock.now + .milliseconds(Int(tickMilliseconds))
        while true {
            let count = epoll_wait(epoll, &events, Int32(events.count), tickMilliseconds)
            guard let delegate = delegate.withLock({ $0 }) else { return }
            for event in events.prefix(Int(max(0, count))) {
                deliver(event, to: delegate)
            }
            let now = ContinuousClock.now
            if now >= nextTick {
                delegate.tick(now)
                nextTick = now + .milliseconds(Int(tickMilliseconds))
            }
        }
    }

    private func deliver(_ event: epoll_event, to delegate: any SocketMonitorDelegate) {
        switch Key(event.data.u64) {
        case .wake: break
        case .listener: delegate.clientsWaiting()
        case .client(let id):
            delegate.clientEnded(id, entirely: event.events & (EPOLLHUP.rawValue | EPOLLERR.rawValue) != 0)
        case .lingering(let socket): delegate.lingeringReadable(socket)
        }
    }
}

private func runSocketMonitor(_ monitor: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let monitor else { return nil }
    CLinuxNameThisThread("http-monitor")
    Unmanaged<SocketMonitor>.fromOpaque(monitor).takeRetainedValue().run()
    return nil
}
