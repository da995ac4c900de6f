/// A request's first part: everything before its body.
public struct RequestHead: Sendable {
    /// Unique within the process.
    public var id: UInt64
    /// The method, case as sent, except that HEAD reads `GET`: the server itself leaves the body out (``isHead``).
    public var method: String
    /// Whether the client sent HEAD.
    public var isHead = false
    /// The target as received, still encoded.
    public var target: String
    /// The path, percent-decoded but for slashes (`%2F`) and otherwise untouched.
    public var path: String
    /// The query's items, decoded, in order.
    public var query: [QueryItem] = []
    /// The header fields.
    public var headers: HTTPHeaders
    /// `HTTP/1.0` or `HTTP/1.1`, which any later 1.x is taken for (RFC 9110, 2.5).
    public var version = "HTTP/1.1"
    /// The client's address, such as `192.0.2.1` or `2001:db8::1`, without its port.
    public var remoteAddress: String
    /// When the request line had arrived.
    public var received: ContinuousClock.Instant

    /// A head with these fields, for tests of handlers.
    public init(
        id: UInt64 = 0, method: String, target: String, path: String, query: [QueryItem] = [],
        headers: HTTPHeaders = [:], remoteAddress: String = "127.0.0.1", received: ContinuousClock.Instant = .now
    ) {
        self.id = id
        self.method = method
        self.target = target
        self.path = path
        self.query = query
        self.headers = headers
        self.remoteAddress = remoteAddress
        self.received = received
    }
}

/// A complete request, as a handler gets it.
///
/// The handler's task is cancelled when the client has gone or the server stops.
public struct Request: Sendable {
    /// A request's body, as its ``BodyPolicy`` had it stored.
    public enum Body: Sendable {
        /// All of it; empty if there was none.
        case bytes([UInt8])
        /// In a file, which is removed when the request ends unless it has been renamed by then.
        case file(path: String, byteCount: Int)
    }

    /// What stood before the body.
    public var head: RequestHead
    /// The body.
    public var body: Body
    /// When the body was complete.
    public var bodyReceived: ContinuousClock.Instant

    /// A request that came from no connection, for tests of handlers.
    public init(head: RequestHead, body: [UInt8] = []) {
        self.init(head: head, body: .bytes(body), bodyReceived: .now)
    }

    init(head: RequestHead, body: Body, bodyReceived: ContinuousClock.Instant) {
        self.head = head
        self.body = body
        self.bodyReceived = bodyReceived
    }

    /// The body's bytes; empty if it is in a file.
    public var bytes: [UInt8] {
        if case .bytes(let bytes) = body { bytes } else { [] }
    }
}
