import CMicroHTTPD
import Dispatch
import Files
import Glibc
import Synchronization

/// An HTTP/1.1 server on libmicrohttpd.
///
/// Bodies are read under their limits by a few event threads; a complete request suspends its connection while its
/// handler runs as a task. A started server must be stopped, by ``drain(timeout:)`` or ``stop()``.
///
/// How the server treats a client that it refuses:
/// - above ``ServerConfiguration/maximumConnections``: 503 and a close; far above it, a close.
/// - too slow to send or to read: a close, since libmicrohttpd takes no response before the request is complete.
/// - announcing too large a body: 413 and a close, its bytes read and dropped for two seconds so that it can read that.
/// - sending too large a chunked body: 413 at its end, or a close after four times the limit (at least 1 MiB) on top.
/// - sending what libmicrohttpd cannot parse (a malformed length or chunk, not HTTP/1.x, a far too large head): the
///   library's own small HTML page with 400, 413, 414, 431 or 505, which no option changes, and a close. After a wrong
///   Content-Length, version 0.9.75 sends the page's head twice.
package final class Server: Sendable {
    private enum Phase {
        case idle
        case starting
        case running(ServerAddress)
        case stopping
        case stopped
    }

    private let core: ServerCore
    private let phase = Mutex(Phase.idle)
    private let startMessages: StartMessages

    /// Makes a server. ``start()`` starts it.
    ///
    /// - Parameters:
    ///   - application: what it serves.
    ///   - configuration: where it listens and what it grants.
    ///   - log: receives the messages of libmicrohttpd and the server, one line at a time, from any thread.
    /// - Throws: ``ServerError`` if the configuration makes no sense or the system gives no descriptors.
    package init(
        _ application: some Application, configuration: ServerConfiguration,
        log: @escaping @Sendable (ServerMessage) -> Void
    ) throws(ServerError) {
        try configuration.validate()
        let shortest = min(configuration.requestTimeout, configuration.idleTimeout, configuration.responseTimeout)
        let tick = min(max(shortest / 8, .milliseconds(10)), .milliseconds(500))
        let messages = StartMessages(log)
        startMessages = messages
        do throws(SystemError) {
            core = ServerCore(
                configuration: configuration, monitor: try SocketMonitor(tick: tick),
                converse: { ApplicationConversation(application, $0, target: $1) }, log: { messages.add($0) })
        } catch {
            throw .system("\(error)")
        }
    }

    /// The TCP port that it listens on; 0 before the start and after the stop.
    package var port: Int { address?.port ?? 0 }

    /// Where it listens; nil before the start and after the stop.
    package var address: ServerAddress? {
        phase.withLock { if case .running(let address) = $0 { address } else { nil } }
    }

    package var counters: ServerCounters {
        var counters = core.activity.counters
        counters.openConnections = core.connections.count
        counters.lingeringSockets = core.connections.lingeringCount
        counters.heldBodyBytes = core.budget.heldBytes
        counters.certificateExpiry = core.certificateExpiry
        return counters
    }

    /// Listens and serves. Also ignores SIGPIPE, and raises the process's soft limit of open files to what
    /// ``ServerConfiguration/maximumConnections`` needs.
    ///
    /// - Throws: ``ServerError``: the address is taken, the certificate unusable, the limit of open files too low.
    package func start() throws(ServerError) {
        let mayStart = phase.withLock {
            guard case .idle = $0 else { return false }
            $0 = .starting
            return true
        }
        guard mayStart else { throw .invalidConfiguration("a server can start only once") }
        do throws(ServerError) {
            let address = try open()
            phase.withLock { $0 = .running(address) }
        } catch {
            phase.withLock { $0 = .stopped }
            throw error
        }
    }

    private func open() throws(ServerError) -> ServerAddress {
        signal(SIGPIPE, SIG_IGN)
        try OpenFileLimit.raise(toServe: core.configuration.maximumConnections)
        if core.configuration.tls != nil, CMHDSupportsTLS() == 0 {
            throw .tls("this libmicrohttpd (\(String(cString: MHD_get_version()))) was built without it")
        }
        let identity = try core.readIdentity()
        let listener: ListeningSocket
        do throws(ServerError) {
            listener = try ListeningSocket(core.configuration)
        } catch {
            CTLSIdentityDestroy(identity)
            throw error
        }
        guard let daemon = core.startDaemon(identity: identity) else {
            listener.close()
            throw .system("libmicrohttpd does not start: \(startMessages.text)")
        }
        startMessages.end()
        do throws(ServerError) {
            try core.start(daemon: daemon, listener: listener)
        } catch {
            core.stopListening()
            core.activity.startStopping()
            core.stopDaemon()
            throw error
        }
        return listener.address
    }

    /// Presents another certificate from now on. Open connections keep the one that they began with.
    ///
    /// - Returns: whether it is another one than before.
    /// - Throws: ``ServerError`` if it can't be used, or the server wasn't started with TLS; the one before then stays.
    @discardableResult
    package func replaceIdentity(_ identity: ServerConfiguration.TLSIdentity) throws(ServerError) -> Bool {
        try core.replaceIdentity(identity)
    }

    /// Removes the file of the socket, if the server made one, as stopping does. For a process that is about to end.
    package func removeSocketFile() { core.removeSocketFile() }

    /// Stops accepting, lets the requests in flight end, up to `timeout`, and then stops as ``stop()`` does.
    ///
    /// Connections that already wait are still accepted, requests on open connections are served, and every response says
    /// `Connection: close`.
    ///
    /// - Returns: whether every request got its own answer in time.
    @discardableResult
    package func drain(timeout: Duration) async -> Bool {
        guard takeStop() else { return false }
        core.startDraining()
        core.stopListening()
        let isQuiet = await core.waitUntilAnswered(timeout: timeout)
        await finishStopping()
        return isQuiet
    }

    /// Stops at once: cancels every handler, answers its request 503, and returns when all connections are closed. A
    /// handler that ignores its cancellation may continue; its response is dropped.
    package func stop() async {
        guard takeStop() else { return }
        core.startDraining()
        core.stopListening()
        await finishStopping()
    }

    private func takeStop() -> Bool {
        phase.withLock {
            guard case .running = $0 else { return false }
            $0 = .stopping
            return true
        }
    }

    /// libmicrohttpd aborts the process if it is stopped with a suspended connection, and loses responses that it hasn't sent
    /// yet. So the order is: no new suspension, every answer, every end, the stop.
    private func finishStopping() async {
        core.activity.startStopping()
        var isQuiet = false
        while !isQuiet {
            core.failRequests()
            isQuiet = await core.activity.waitUntilQuiet(timeout: .milliseconds(250))
            if !isQuiet { core.hastenClients(within: .seconds(2)) }
        }
        let core = core
        await withCheckedContinuation { continuation in
            // Joins the event threads, so it runs on a thread of Dispatch and not on one of the few that run tasks.
            DispatchQueue.global().async {
                core.stopDaemon()
                continuation.resume()
            }
        }
        phase.withLock { $0 = .stopped }
    }
}

/// Collects the messages of libmicrohttpd while it starts, for the error, and passes every message on.
private final class StartMessages: Sendable {
    private let kept = Mutex<[String]?>([])
    private let log: @Sendable (ServerMessage) -> Void

    init(_ log: @escaping @Sendable (ServerMessage) -> Void) { self.log = log }

    var text: String { kept.withLock { $0 ?? [] }.joined(separator: "; ") }

    func add(_ message: ServerMessage) {
        kept.withLock { $0?.append(message.text) }
        log(message)
    }

    func end() { kept.withLock { $0 = nil } }
}

/// The process's limit of open files.
enum OpenFileLimit {
    /// Raises the soft limit so that a server of that many connections has descriptors for them, for as many again that
    /// linger or spool, and for the rest of the process.
    static func raise(toServe connections: Int) throws(ServerError) {
        let needed = rlim_t(2 * connections + 256)
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0, limit.rlim_cur < needed else {
            return
        }
        limit.rlim_cur = min(needed, limit.rlim_max)
        guard setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0, limit.rlim_cur >= needed else {
            throw .system(
                "\(connections) connections need \(needed) open files, but the limit is \(limit.rlim_max): "
                    + "raise it (`ulimit -Hn`) or allow fewer connections")
        }
    }
}
