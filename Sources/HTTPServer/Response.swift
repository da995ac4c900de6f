/// What a handler answers.
public struct Response: Sendable {
    /// The status code, 200 to 599.
    public var status: Int
    /// The header fields, sent as they are. Content-Length, Transfer-Encoding and Date are the server's and are not
    /// allowed here; `Connection: close` is honoured.
    public var headers: HTTPHeaders
    /// The body; left out for HEAD, with its length still announced.
    public var body: [UInt8]

    /// A response of these parts.
    public init(status: Int = 200, headers: HTTPHeaders = [:], body: [UInt8] = []) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    /// Why the response cannot be sent; nil if it can. A header that would end its line early is a handler's bug. It is
    /// answered with 500 and logged. Removing the header would hide the bug, and a trap would end every other request too.
    var fault: String? {
        guard (200...599).contains(status) else { return "its status is \(status)" }
        for field in headers.fields {
            guard field.isWellFormed else { return "its header \(field.name.debugDescription) is malformed" }
            for reserved in ["Content-Length", "Transfer-Encoding", "Date"]
            where HTTPHeaders.equal(field.name, reserved) {
                return "its header \(field.name) is the server's to set"
            }
        }
        return nil
    }
}

/// The server's own decision to refuse a request, for which the application writes the response.
public struct TransportRefusal: Error, Equatable, Sendable {
    /// 400, 413, 431, 500 (for a handler's response that cannot be sent), 501, 503 or 507.
    public let status: Int
    /// What is wrong, in a phrase.
    public let reason: String
}

/// Gauges and totals of a server.
public struct ServerCounters: Sendable, Equatable {
    /// Connections open now.
    public var openConnections = 0
    /// Requests whose first line has arrived and that haven't ended.
    public var activeRequests = 0
    /// Connections suspended while their handler works.
    public var suspendedConnections = 0
    /// Handlers running, including those of requests that have already failed.
    public var runningHandlers = 0
    /// Bytes of bodies held in memory.
    public var heldBodyBytes = 0
    /// Sockets still open so that clients can read an early answer.
    public var lingeringSockets = 0
    /// Connections accepted since the start.
    public var acceptedConnections = 0
    /// Connections refused above the limit since the start.
    public var refusedConnections = 0
    /// Requests ended since the start.
    public var endedRequests = 0
    /// When the certificate presented expires, or one of its chain if that is earlier, in seconds since 1970; nil without TLS.
    public var certificateExpiry: Int64?
}
