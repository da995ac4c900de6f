import CMicroHTTPD
import Glibc
import Synchronization

/// One request and its answer. libmicrohttpd's callbacks, the handler's task and the monitor move it from step to step.
///
///     head ─▶ receiving ─▶ received ─▶ handling ─▶ answered ─▶ sending ─▶ ended
///       └──▶ discarding ──────────────────────────────────────▶ sending
///
/// The connection is suspended while handling, and only then may anything but libmicrohttpd's thread touch it.
final class Exchange: Sendable {
    enum Step {
        case head, receiving, received, handling, answered, discarding, sending, ended
    }

    struct State {
        var step = Step.head
        var method = ""
        /// Nil until the headers are complete.
        var conversation: (any Conversation)?
        var head: RequestHead?
        var receiver: BodyReceiver?
        var discardAllowance = 0
        var response: PreparedResponse?
        var task: Task<Void, Never>?
        var isClientGone = false
        var isTimedOut = false
        var isAborted = false
        var requestBytes = 0
        var responseBytes = 0
        var bodyReceived: ContinuousClock.Instant?
        var answered: ContinuousClock.Instant?
    }

    /// Nil if its bytes are not UTF-8.
    let target: String?
    let received: ContinuousClock.Instant
    let connection: ClientConnection
    let core: ServerCore
    let state = Mutex(State())
    private let bits: UInt

    init(
        target: String?, received: ContinuousClock.Instant, connection: ClientConnection, core: ServerCore,
        pointer: OpaquePointer
    ) {
        self.target = target
        self.received = received
        self.connection = connection
        self.core = core
        bits = UInt(bitPattern: pointer)
    }

    private var pointer: OpaquePointer { OpaquePointer(bitPattern: bits)! }

    // MARK: On libmicrohttpd's threads

    /// Takes the next step. Called for the head, for each piece of the body, at the body's end, and again after each turn in
    /// which nothing was queued. False closes the connection.
    func proceed(method: String, version: String, piece: UnsafeRawBufferPointer) -> Bool {
        let goesOn = advance(method: method, version: version, piece: piece)
        if !goesOn { giveUp() }
        return goesOn
    }

    private func advance(method: String, version: String, piece: UnsafeRawBufferPointer) -> Bool {
        switch state.withLock({ $0.step }) {
        case .head:
            return readHead(method: method, version: version)
        case .receiving where !piece.isEmpty:
            receive(piece)
            return true
        case .receiving:
            connection.deadline = nil
            state.withLock {
                $0.step = .received
                $0.bodyReceived = .now
            }
            // Nothing more in this turn: libmicrohttpd then marks the connection as waiting for the server. If it were
            // suspended at once, it would still be marked as reading. When resumed, it would read first and mistake a
            // half-closed client for one that has gone.
            return true
        case .received:
            return startHandler()
        case .answered:
            return send()
        case .discarding where !piece.isEmpty:
            return state.withLock {
                $0.requestBytes += piece.count
                $0.discardAllowance -= piece.count
                return $0.discardAllowance >= 0
            }
        case .discarding:
            return send()
        case .handling, .sending, .ended:
            return true
        }
    }

    private func readHead(method: String, version: String) -> Bool {
        let headers = HTTPHeaders(of: pointer)
        var conversation = core.converse(headers, target)
        let received = ReceivedHead(
            method: method, target: target, version: version, headers: headers, byteCount: CMHDHeaderSize(pointer),
            remoteAddress: connection.remoteAddress, received: received)
        do throws(HeadRefusal) {
            let reception = try core.admit(received, on: connection, &conversation)
            connection.deadline = received.received + reception.timeout
            state.withLock {
                $0.step = .receiving
                $0.method = method
                $0.conversation = conversation
                $0.head = reception.head
                $0.receiver = reception.receiver
            }
            return true
        } catch {
            state.withLock {
                $0.method = method
                $0.conversation = conversation
            }
            return refuse(error, clientWaits: headers["Expect"] != nil)
        }
    }

    /// Answers after the body if that is short, which keeps the connection usable, and otherwise at once.
    private func refuse(_ refusal: HeadRefusal, clientWaits: Bool) -> Bool {
        let short: UInt64 = 64 << 10
        let length = refusal.framing?.announcedLength
        let readsBody = length.map { $0 == 0 || $0 <= short && !clientWaits } ?? false
        prepareResponse(to: refusal.cause, closing: !readsBody)
        state.withLock {
            $0.discardAllowance = Int(short)
            $0.step = .discarding
        }
        guard !readsBody else { return true }
        connection.prepareLingering()
        return send()
    }

    /// Makes the response to a refusal ready to be sent. Not under the lock: the application writes it.
    private func prepareResponse(to cause: HeadRefusal.Cause, closing: Bool) {
        guard var conversation = state.withLock({ $0.conversation }) else { return }
        let response =
            switch cause {
            case .response(let response): response
            case .transport(let refusal): conversation.response(to: refusal)
            }
        let prepared = core.prepare(response, &conversation, closing: closing)
        state.withLock {
            $0.response = prepared
            $0.conversation = conversation
        }
    }

    private func receive(_ piece: UnsafeRawBufferPointer) {
        // Taken out of the state meanwhile: the monitor waits for the lock, and a disk may be slow.
        var receiver = state.withLock { state in
            state.requestBytes += piece.count
            return state.receiver.take()
        }
        do throws(TransportRefusal) {
            try receiver?.append(piece)
            state.withLock { $0.receiver = receiver }
        } catch {
            receiver?.discard()
            // Answered at the body's end: libmicrohttpd takes no response in the middle. A client that sends four times
            // the limit on top of it is closed without an answer.
            prepareResponse(to: .transport(error), closing: true)
            let allowance = max(1 << 20, 4 * min(receiver?.maximumBytes ?? 0, 1 << 40))
            state.withLock {
                $0.discardAllowance = allowance
                $0.step = .discarding
            }
        }
    }

    private func startHandler() -> Bool {
        guard core.activity.beginSuspension() else {
            prepareResponse(to: .transport(.stopping), closing: true)
            return send()
        }
        state.withLock { state in
            guard let conversation = state.conversation, let head = state.head,
                let body = state.receiver?.takeBody(), let receiver = state.receiver
            else { return }
            // Suspended before the handler can answer. The monitor reports a client that has already closed its sending
            // side at once, and that report must find the step set: it waits for the lock.
            MHD_suspend_connection(pointer)
            state.step = .handling
            core.monitor.rewatchClient(connection.id, socket: connection.socket)
            let request = Request(
                head: head, body: body, maximumBodyBytes: receiver.maximumBytes, share: receiver.share)
            core.activity.update { $0.runningHandlers += 1 }
            state.task = Task { [self] in
                var conversation = conversation
                let response = await conversation.respond(to: request)
                core.activity.update { $0.runningHandlers -= 1 }
                finish(with: response, conversation)
            }
        }
        return true
    }

    private func send() -> Bool {
        connection.deadline = .now + core.configuration.responseTimeout
        let response = state.withLock { state in
            state.step = .sending
            // As bytes: the method of a request that is refused may be any text.
            let isHead = state.method.utf8.elementsEqual("HEAD".utf8)
            state.responseBytes = isHead ? 0 : state.response?.byteCount ?? 0
            if state.answered == nil { state.answered = .now }
            return state.response.take()
        }
        return response?.queue(on: pointer) ?? false
    }

    /// Ends the exchange.
    ///
    /// - Returns: what to tell the application, and the application's side of the request.
    func end(termination: CMHDTermination, status: Int) -> (ExchangeRecord, any Conversation) {
        connection.exchange = nil
        connection.deadline = .now + core.configuration.idleTimeout
        return state.withLock { state in
            let record = ExchangeRecord(self, state, termination, status: status)
            state.step = .ended
            state.response.take()?.discard()
            state.receiver?.discard()
            state.receiver = nil
            return (record, state.conversation.take() ?? core.converse([:], target))
        }
    }

    // MARK: On other threads

    /// Answers, unless that has been done. Called with the handler's response, and instead of it when the server stops.
    private func finish(with response: Response, _ conversation: any Conversation) {
        let isFirst = state.withLock { state in
            guard state.step == .handling else { return false }
            state.step = .answered
            state.answered = .now
            state.task = nil
            return true
        }
        guard isFirst else { return }
        // Not under the lock, which libmicrohttpd's threads and the monitor wait for: this copies the body.
        var conversation = conversation
        let prepared = core.prepare(response, &conversation, closing: false)
        state.withLock {
            $0.response = prepared
            $0.conversation = conversation
        }
        MHD_resume_connection(pointer)
        core.activity.endSuspension()
    }

    /// Answers instead of the handler, and then cancels it: what a cancelled handler returns is no answer for the client.
    func finishInPlaceOfHandler(with refusal: TransportRefusal) {
        let (task, conversation) = state.withLock { ($0.task, $0.conversation) }
        guard var conversation else { return }
        finish(with: conversation.response(to: refusal), conversation)
        task?.cancel()
    }

    /// Cancels the handler, because its client has gone or its answer no longer matters.
    func cancelHandler(clientGone: Bool) {
        let task = state.withLock { state in
            if clientGone, state.step == .handling { state.isClientGone = true }
            return state.task
        }
        task?.cancel()
    }

    /// Notes that the client is about to be disconnected because it was too slow.
    func timeOut() { state.withLock { $0.isTimedOut = true } }

    /// Notes that the server is about to close the connection without an answer.
    func giveUp() { state.withLock { $0.isAborted = true } }

    /// Whether the connection is suspended and its handler runs.
    var isHandling: Bool { state.withLock { $0.step == .handling } }

    /// Asks a client that has closed its sending side whether it is still there, by an interim response to which a
    /// closed socket answers RST. False if the client cannot be asked or is known to be gone.
    func probe() -> Bool {
        let probe = "HTTP/1.1 100 Continue\r\n\r\n"
        return state.withLock { state in
            // Resumed meanwhile: libmicrohttpd writes now, and finds out by itself.
            guard state.step == .handling else { return true }
            guard core.configuration.tls == nil, state.head?.version == "HTTP/1.1" else { return false }
            let flags = Int32(MSG_DONTWAIT | MSG_NOSIGNAL)
            return Glibc.send(connection.socket, probe, probe.utf8.count, flags) == probe.utf8.count
        }
    }
}

extension HTTPHeaders {
    /// The header fields of a connection's request.
    fileprivate init(of connection: OpaquePointer) {
        self.init()
        withUnsafeMutablePointer(to: &self) { CMHDVisitHeaders(connection, appendHeader, $0) }
    }
}

private func appendHeader(
    _ headers: UnsafeMutableRawPointer?, _ name: UnsafePointer<CChar>?, _ nameLength: Int,
    _ value: UnsafePointer<CChar>?, _ valueLength: Int
) {
    headers?.assumingMemoryBound(to: HTTPHeaders.self).pointee.append(
        // White space after a name stays: it makes the name malformed, as it must (RFC 9112, 5.1).
        name: text(UnsafeRawBufferPointer(start: name, count: nameLength)[...]),
        value: text(UnsafeRawBufferPointer(start: value, count: valueLength).trimmingTrailingBlanks))
}

/// Text in UTF-8, or in ISO 8859-1 if the bytes are not valid, stream-safe UTF-8 (RFC 9110, 5.5).
private func text(_ bytes: Slice<UnsafeRawBufferPointer>) -> String {
    String(streamSafe: bytes) ?? String(String.UnicodeScalarView(bytes.map { Unicode.Scalar($0) }))
}

extension UnsafeRawBufferPointer {
    fileprivate var trimmingTrailingBlanks: Slice<UnsafeRawBufferPointer> {
        let end = lastIndex { $0 != 0x20 && $0 != 0x09 }.map { $0 + 1 } ?? 0
        return self[..<end]
    }
}
