import CEventPolling
import Glibc
import Machine

/// Puts a load on an HTTP/1.1 service on this machine: the same request over and over, over persistent connections, from
/// the calling thread alone, which sleeps until a request is due or the kernel has something for it.
package struct LoadGenerator: Sendable {
    private let port: UInt16
    private let request: [UInt8]
    private let maximumConnections: Int
    private let patience: Double

    /// A generator of one request.
    ///
    /// - Parameters:
    ///   - port: the service's, on 127.0.0.1.
    ///   - request: head and body; its answers must say their length.
    ///   - maximumConnections: a request that is due while so many are under way waits, and its latency counts on.
    ///   - patience: seconds after the last request was due in which answers are awaited.
    package init(port: UInt16, request: [UInt8], maximumConnections: Int = 512, patience: Double = 60) {
        precondition(maximumConnections > 0)
        self.port = port
        self.request = request
        self.maximumConnections = maximumConnections
        self.patience = patience
    }

    /// The bytes of a POST of `body` to `target`, which hold nothing that must be escaped.
    package static func post(_ target: String, type: String, body: [UInt8]) -> [UInt8] {
        Array(
            ("POST \(target) HTTP/1.1\r\nHost: localhost\r\nContent-Type: \(type)\r\n"
                + "Content-Length: \(body.count)\r\n\r\n").utf8) + body
    }

    /// Sends requests as `load` says and waits for their answers. Blocks the calling thread.
    ///
    /// - Throws: `LoadError` if the service can't be reached or the system refuses descriptors; `CancellationError` half a
    ///   second after the current task is cancelled, at the latest.
    package func run(_ load: Load) throws -> LoadResult {
        let processorBefore = ProcessorTime.seconds
        let run = try Run(load, port: port, request: request, maximumConnections: maximumConnections)
        try run.proceed(until: load.duration + patience)
        return LoadResult(
            samples: run.samples, duration: load.duration, processorSeconds: ProcessorTime.seconds - processorBefore)
    }
}

/// One run of a generator. For one thread.
private final class Run {
    private(set) var samples: [LoadSample] = []

    private let port: UInt16
    private let request: [UInt8]
    private let maximumConnections: Int
    private let poll: Poll
    private let clock = ContinuousClock()
    private let start: ContinuousClock.Instant
    private var pacing: Pacing
    /// Requests that are due and have no connection yet, in the order of their times from `firstWaiting` on.
    private var waiting: [Double] = []
    private var firstWaiting = 0
    private var connections: [Int32: Connection] = [:]
    /// The connections without a request. The one used last is used first: the others may rest.
    private var idle: [Int32] = []
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 16)

    init(_ load: Load, port: UInt16, request: [UInt8], maximumConnections: Int) throws(LoadError) {
        pacing = Pacing(load)
        self.port = port
        self.request = request
        self.maximumConnections = maximumConnections
        poll = try Poll()
        start = clock.now
    }

    deinit { buffer.deallocate() }

    private var now: Double { start.duration(to: clock.now) / .seconds(1) }
    private var isBusy: Bool { firstWaiting < waiting.count || connections.count > idle.count }

    func proceed(until end: Double) throws {
        while true {
            try Task.checkCancellation()
            waiting += pacing.due(at: now)
            try startWaiting()
            let time = now
            if pacing.isOver(at: time), !isBusy { return }
            if time > end { return giveUp(at: time) }
            // What has ended may have made requests due already.
            guard !pacing.isDue(at: time) else { continue }
            try poll.wait(until: pacing.nextTime.map { start + .seconds($0) }) { socket throws(LoadError) in
                try progress(of: socket)
            }
        }
    }

    private func startWaiting() throws(LoadError) {
        while firstWaiting < waiting.count, let connection = try freeConnection() {
            connection.start(due: waiting[firstWaiting], at: now)
            firstWaiting += 1
            try progress(of: connection.socket)
        }
        if firstWaiting == waiting.count {
            waiting.removeAll(keepingCapacity: true)
            firstWaiting = 0
        }
    }

    private func freeConnection() throws(LoadError) -> Connection? {
        if let socket = idle.popLast() { return connections[socket] }
        guard connections.count < maximumConnections else { return nil }
        let connection = try Connection(port: port, request: request)
        try poll.watch(connection.socket)
        connections[connection.socket] = connection
        return connection
    }

    private func progress(of socket: Int32) throws(LoadError) {
        guard let connection = connections[socket] else { return }
        switch connection.proceed(buffer: buffer) {
        case .waiting: break
        case .answered(let head):
            end(connection, .answered(head.status), timing: head.timings)
            if head.closes { forget(connection) } else { idle.append(socket) }
        case .lost(let reason):
            // A client whose service is gone would start again without end.
            guard connection.isConnected else { throw LoadError(reason) }
            if connection.exchange == nil { idle.removeAll { $0 == socket } }
            end(connection, .failed(reason))
            forget(connection)
        }
    }

    private func end(_ connection: Connection, _ ending: LoadSample.Ending, timing: ServerTiming? = nil) {
        guard let exchange = connection.exchange else { return }
        let time = now
        samples.append(LoadSample(due: exchange.due, sent: exchange.sent, ended: time, ending: ending, timing: timing))
        connection.finish()
        pacing.ended(at: time)
    }

    /// Closing a socket takes it out of the poll.
    private func forget(_ connection: Connection) { connections[connection.socket] = nil }

    private func giveUp(at time: Double) {
        for connection in connections.values { end(connection, .failed("there was no answer in time")) }
        for due in waiting[firstWaiting...] {
            samples.append(
                LoadSample(due: due, sent: time, ended: time, ending: .failed("there was no free connection in time")))
        }
    }
}

/// An epoll set with a timer, which unlike `epoll_wait`'s own is finer than a millisecond.
private final class Poll {
    private let descriptor: Int32
    private let timer: Int32
    private var events = [epoll_event](repeating: epoll_event(), count: 256)

    init() throws(LoadError) {
        descriptor = epoll_create1(Int32(EPOLL_CLOEXEC))
        guard descriptor >= 0 else { throw LoadError.system("epoll_create1") }
        timer = timerfd_create(CLOCK_MONOTONIC, Int32(TFD_CLOEXEC | TFD_NONBLOCK))
        guard timer >= 0 else {
            let error = LoadError.system("timerfd_create")
            close(descriptor)
            throw error
        }
        try watch(timer)
    }

    deinit {
        close(timer)
        close(descriptor)
    }

    /// Tells whenever something has changed about a descriptor, until it is closed.
    func watch(_ socket: Int32) throws(LoadError) {
        let interest = EPOLLIN.rawValue | EPOLLOUT.rawValue | EPOLLRDHUP.rawValue | EPOLLET.rawValue
        var event = epoll_event(events: interest, data: epoll_data_t(fd: socket))
        guard epoll_ctl(descriptor, EPOLL_CTL_ADD, socket, &event) == 0 else { throw LoadError.system("epoll_ctl") }
    }

    /// Sleeps until something has happened to a watched socket, a given time, or half a second, and hands on the sockets.
    func wait(until time: ContinuousClock.Instant?, _ body: (Int32) throws(LoadError) -> Void) throws(LoadError) {
        var setting = itimerspec()
        if let time {
            // A timer of zero would be switched off.
            let rest = max(.nanoseconds(1), ContinuousClock.now.duration(to: time))
            setting.it_value.tv_sec = Int(rest.components.seconds)
            setting.it_value.tv_nsec = Int(rest.components.attoseconds / 1_000_000_000)
        }
        guard timerfd_settime(timer, 0, &setting, nil) == 0 else { throw LoadError.system("timerfd_settime") }
        let count = epoll_wait(descriptor, &events, Int32(events.count), 500)
        guard count >= 0 || errno == EINTR else { throw LoadError.system("epoll_wait") }
        for event in events.prefix(Int(max(0, count))) where event.data.fd != timer { try body(event.data.fd) }
    }
}
