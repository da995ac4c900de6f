/// What a request line and headers say, before anything is decided about them.
struct ReceivedHead {
    var method: String
    /// Nil if its bytes are not UTF-8.
    var target: String?
    var version: String
    var headers: HTTPHeaders
    /// Request line and headers.
    var byteCount: Int
    var remoteAddress: String
    var received: ContinuousClock.Instant
}

/// Why a request is refused from its head alone.
struct HeadRefusal: Error {
    enum Cause {
        case transport(TransportRefusal)
        case response(Response)
    }

    var cause: Cause
    /// Where the body ends; nil if that is in doubt, so that nothing after the head can be trusted.
    var framing: RequestFraming?
}

/// A request whose body may come.
struct AcceptedHead {
    var head: RequestHead
    var policy: BodyPolicy

    /// Decides whether the body may come: first by the rules of HTTP, then by what the application decides.
    ///
    /// - Parameter bodyMemory: all that bodies may take together.
    init(
        _ received: ReceivedHead, maximumHeaderBytes: Int, bodyMemory: Int, admit: (RequestHead) -> Admission<Void>
    ) throws(HeadRefusal) {
        let framing: RequestFraming
        do throws(TransportRefusal) {
            // Checked first: comparing or hashing a method that is a row of combining characters takes a time quadratic in
            // their number.
            guard received.method.isToken else {
                throw TransportRefusal(status: 400, reason: "the method is not a token")
            }
            framing = try RequestFraming.examine(received.headers, version: received.version)
        } catch {
            throw HeadRefusal(cause: .transport(error), framing: nil)
        }
        guard received.byteCount <= maximumHeaderBytes else {
            let reason = "the request line and headers are larger than \(maximumHeaderBytes) bytes"
            throw HeadRefusal(cause: .transport(TransportRefusal(status: 431, reason: reason)), framing: framing)
        }
        let target: RequestTarget
        do throws(InvalidTarget) {
            target = try RequestTarget(received.target)
        } catch {
            let reason = "the request target is malformed: \(error.reason)"
            throw HeadRefusal(cause: .transport(TransportRefusal(status: 400, reason: reason)), framing: framing)
        }
        head = RequestHead(received, target: target)
        switch admit(head) {
        case .refused(let response): throw HeadRefusal(cause: .response(response), framing: framing)
        case .accepted((), let policy): self.policy = policy.limited(toMemory: bodyMemory)
        }
        guard let length = framing.announcedLength, length > UInt64(max(0, policy.maximumBytes)) else { return }
        let reason = "the body is larger than \(policy.maximumBytes) bytes"
        throw HeadRefusal(cause: .transport(TransportRefusal(status: 413, reason: reason)), framing: framing)
    }
}

extension RequestHead {
    fileprivate init(_ received: ReceivedHead, target: RequestTarget) {
        self.init(
            method: received.method == "HEAD" ? "GET" : received.method, path: target.path, query: target.query,
            headers: received.headers, remoteAddress: received.remoteAddress, received: received.received)
        isHead = received.method == "HEAD"
        version = received.version == "HTTP/1.0" ? "HTTP/1.0" : "HTTP/1.1"
    }
}

extension TransportRefusal {
    static let unsendableResponse = TransportRefusal(status: 500, reason: "the response to this request cannot be sent")
    static let stopping = TransportRefusal(status: 503, reason: "the server is stopping")
    static let tooManyConnections = TransportRefusal(
        status: 503, reason: "the server has reached its limit of connections")
}
