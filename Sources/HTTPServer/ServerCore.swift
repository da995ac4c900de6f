import CMicroHTTPD
import Files
import Glibc
import Synchronization

/// What libmicrohttpd's callbacks, the monitor, and the public server share.
final class ServerCore: Sendable {
    let configuration: ServerConfiguration
    /// Begins the application's side of a request with these headers.
    let converse: @Sendable (HTTPHeaders, String?) -> any Conversation
    let log: @Sendable (ServerMessage) -> Void

    let monitor: SocketMonitor
    let budget: BodyBudget
    let connections = ConnectionRegistry()
    let activity = Activity()
    private let listener = Mutex<ListeningSocket?>(nil)
    private let identity: Mutex<(current: ServerConfiguration.TLSIdentity?, expiry: Int64?)>
    private let daemon = Mutex<UInt>(0)
    private let lastID = Atomic<UInt64>(0)
    private let isDraining = Atomic<Bool>(false)

    init(
        configuration: ServerConfiguration, monitor: SocketMonitor,
        converse: @escaping @Sendable (HTTPHeaders, String?) -> any Conversation,
        log: @escaping @Sendable (ServerMessage) -> Void
    ) {
        self.configuration = configuration
        self.monitor = monitor
        self.converse = converse
        self.log = log
        budget = BodyBudget(maximum: configuration.maximumHeldBodyBytes)
        identity = Mutex((configuration.tls, nil))
    }

    // MARK: Decisions about requests

    /// An accepted request, ready for its body.
    struct Reception {
        var head: RequestHead
        var receiver: BodyReceiver
        /// The time for the whole request, from its first line.
        var timeout: Duration
    }

    func admit(
        _ received: ReceivedHead, on connection: ClientConnection, _ conversation: inout any Conversation
    ) throws(HeadRefusal) -> Reception {
        guard !connection.isSurplus else { throw HeadRefusal(cause: .transport(.tooManyConnections), framing: nil) }
        let accepted = try AcceptedHead(
            received, maximumHeaderBytes: configuration.maximumHeaderBytes, bodyMemory: budget.maximum
        ) { conversation.admit($0) }
        var reception = Reception(
            head: accepted.head, receiver: BodyReceiver(maximumBytes: accepted.policy.maximumBytes, budget: budget),
            timeout: configuration.requestTimeout)
        guard case .file(let directory, _, let timeout) = accepted.policy else { return reception }
        do throws(TransportRefusal) {
            reception.receiver.file = try SpoolFile(directory: directory)
            reception.timeout = timeout
            return reception
        } catch {
            throw HeadRefusal(cause: .transport(error), framing: nil)
        }
    }

    /// A response ready to be queued. A 500 replaces one that cannot be sent; nil if that cannot be sent either.
    func prepare(_ response: Response, _ conversation: inout any Conversation, closing: Bool) -> PreparedResponse? {
        let closing = closing || isDraining.load(ordering: .acquiring)
        if let fault = response.fault {
            log(ServerMessage("a response cannot be sent: \(fault)"))
        } else if let prepared = PreparedResponse(response, closing: closing) {
            return prepared
        }
        let substitute = conversation.response(to: .unsendableResponse)
        return substitute.fault == nil ? PreparedResponse(substitute, closing: closing) : nil
    }

    // MARK: libmicrohttpd's callbacks

    func connected(_ pointer: OpaquePointer) -> ClientConnection {
        let now = ContinuousClock.now
        let patience = configuration.requestTimeout
        let socket = CMHDSocket(pointer)
        let address = SocketAddress.text(of: CMHDClientAddress(pointer))
        let connection = connections.insert { count in
            let isSurplus = count > configuration.maximumConnections
            return ClientConnection(
                id: nextID(), socket: socket, remoteAddress: address, isSurplus: isSurplus,
                deadline: now + (isSurplus ? min(.seconds(2), patience) : patience))
        }
        if connection.isSurplus { activity.update { $0.refusedConnections += 1 } }
        do throws(SystemError) {
            try monitor.watchClient(connection.id, socket: socket)
        } catch {
            log(ServerMessage("a client's disconnection can't be detected: \(error)"))
        }
        return connection
    }

    func disconnected(_ connection: ClientConnection) {
        monitor.unwatch(connection.socket)
        connections.remove(connection)
        if let socket = connection.takeLingering() {
            connections.linger(socket, atMost: configuration.maximumConnections, monitor: monitor)
        }
    }

    func requestLine(_ target: String?, on pointer: OpaquePointer, connection: ClientConnection) -> Exchange {
        let now = ContinuousClock.now
        let exchange = Exchange(target: target, received: now, connection: connection, core: self, pointer: pointer)
        connection.exchange = exchange
        connection.deadline = now + configuration.requestTimeout
        activity.update { $0.activeRequests += 1 }
        return exchange
    }

    func ended(_ exchange: Exchange, termination: CMHDTermination, status: Int) {
        let (record, conversation) = exchange.end(termination: termination, status: status)
        conversation.ended(record)
        activity.requestEnded()
    }

    private func nextID() -> UInt64 { lastID.add(1, ordering: .relaxed).newValue }

    // MARK: Starting and stopping

    func start(daemon: OpaquePointer, listener: ListeningSocket) throws(ServerError) {
        self.daemon.withLock { $0 = UInt(bitPattern: daemon) }
        self.listener.withLock { $0 = listener }
        try monitor.start(reportingTo: self)
        do throws(SystemError) {
            try monitor.watchListener(listener.descriptor)
        } catch {
            throw .system("\(error)")
        }
    }

    /// Accepts the connections that already wait, and no others.
    func stopListening() {
        accept()
        listener.withLock {
            guard let socket = $0.take() else { return }
            monitor.unwatch(socket.descriptor)
            socket.close()
        }
    }

    func removeSocketFile() { listener.withLock { $0?.file?.remove() } }

    /// Waits until every request that has reached this machine has been answered; false if that takes longer than `timeout`.
    func waitUntilAnswered(timeout: Duration) async -> Bool {
        let deadline = ContinuousClock.now + timeout
        while await activity.waitUntilQuiet(timeout: max(.zero, deadline - .now)) {
            // The event threads may be about to read a request's bytes, so the server must stay quiet for a moment.
            try? await Task.sleep(for: .milliseconds(5))
            if activity.counters.activeRequests == 0, !connections.hasUnservedRequests { return true }
            if ContinuousClock.now > deadline { return false }
        }
        return false
    }

    /// From now on every response closes its connection.
    func startDraining() { isDraining.store(true, ordering: .releasing) }

    /// Answers 503 instead of every handler that still runs, and disconnects every client that still sends.
    func failRequests() {
        connections.forEach { connection in
            guard let exchange = connection.exchange else { return }
            if exchange.state.withLock({ $0.step == .receiving || $0.step == .discarding || $0.step == .head }) {
                exchange.giveUp()
                connection.cut()
            }
        }
        for exchange in connections.exchanges where exchange.isHandling {
            exchange.finishInPlaceOfHandler(with: .stopping)
        }
    }

    /// Gives every client at most this time to read its answer.
    func hastenClients(within time: Duration) {
        let latest = ContinuousClock.now + time
        connections.forEach { $0.deadline = min($0.deadline ?? latest, latest) }
    }

    /// Closes what is left. No connection may be suspended or become suspended.
    func stopDaemon() {
        let bits = daemon.withLock { bits in
            defer { bits = 0 }
            return bits
        }
        guard let daemon = OpaquePointer(bitPattern: bits) else { return }
        CMHDStop(daemon)
        connections.forgetAll()
        monitor.stop()
        connections.closeLingering(monitor: monitor)
    }

    private func accept() {
        listener.withLock { listener in
            guard let listener = listener?.descriptor, let daemon = OpaquePointer(bitPattern: daemon.withLock { $0 })
            else { return }
            do throws(SystemError) {
                while let (socket, address) = try ListeningSocket.accept(from: listener) {
                    handOver(socket, from: address, to: daemon)
                }
                monitor.rearmListener(listener)
            } catch {
                // Not rearmed until the next tick: the listener stays readable, and the monitor would loop.
                log(ServerMessage("no connection can be accepted for now: \(error)"))
            }
        }
    }
}

/// The certificate.
extension ServerCore {
    var certificateExpiry: Int64? { identity.withLock { $0.expiry } }

    /// The configured identity for libmicrohttpd, which owns it from then on; nil without TLS.
    func readIdentity() throws(ServerError) -> OpaquePointer? {
        guard let configured = configuration.tls else { return nil }
        let read = try configured.read()
        identity.withLock { $0.expiry = CTLSIdentityExpiry(read) }
        return read
    }

    func replaceIdentity(_ new: ServerConfiguration.TLSIdentity) throws(ServerError) -> Bool {
        let read = try new.read()
        // With the daemon locked, since it may be about to stop.
        return try daemon.withLock { daemon throws(ServerError) in
            guard configuration.tls != nil, let daemon = OpaquePointer(bitPattern: daemon) else {
                CTLSIdentityDestroy(read)
                throw .tls("the server doesn't speak TLS, or has stopped")
            }
            return identity.withLock { identity in
                let isOther = identity.current != new
                identity = (new, CTLSIdentityExpiry(read))
                CMHDReplaceIdentity(daemon, read)
                return isOther
            }
        }
    }
}

/// Gives an accepted socket to libmicrohttpd, or closes it if there are too many to answer even 503.
extension ServerCore {
    private func handOver(_ socket: Int32, from address: SocketAddress, to daemon: OpaquePointer) {
        let mostToTell = configuration.maximumConnections + max(64, configuration.maximumConnections / 4)
        let isAdmitted = connections.admit(upTo: mostToTell)
        activity.update {
            $0.acceptedConnections += 1
            $0.refusedConnections += isAdmitted ? 0 : 1
        }
        guard isAdmitted else {
            close(socket)
            return
        }
        if address.withPointer({ CMHDAdd(daemon, socket, $0, $1) }) == 0 { connections.forgetAdmitted() }
    }
}

/// What the monitor reports, on its own thread.
extension ServerCore {
    func clientsWaiting() { accept() }

    /// A watched client has closed its sending side or, if `entirely`, is gone.
    func clientEnded(_ id: UInt64, entirely: Bool) {
        let abandoned = connections.withConnection(id) { connection -> Exchange? in
            connection.hasStoppedSending = true
            guard let exchange = connection.exchange, exchange.isHandling else {
                connection.nudge()
                return nil
            }
            guard !entirely, configuration.halfClosedClients == .answer, exchange.probe() else { return exchange }
            monitor.watchForEnd(of: id, socket: connection.socket)
            return nil
        }
        abandoned?.cancelHandler(clientGone: true)
    }

    func lingeringReadable(_ socket: Int32) { connections.drainLingering(socket, monitor: monitor) }

    func tick(_ now: ContinuousClock.Instant) {
        connections.forEach { connection in
            if connection.hasStoppedSending, !(connection.exchange?.isHandling ?? false) { connection.nudge() }
            guard let deadline = connection.deadline, deadline < now else { return }
            connection.deadline = nil
            connection.exchange?.timeOut()
            connection.cut()
        }
        connections.closeLingering(before: now, monitor: monitor)
        listener.withLock { if let listener = $0 { monitor.rearmListener(listener.descriptor) } }
    }
}
