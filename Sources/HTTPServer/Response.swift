/// What a handler answers.
package struct Response: Sendable {
    /// The status code, 200 to 599.
    package var status: Int
    /// The header fields, sent as they are. Content-Length, Transfer-Encoding and Date are the server's and are not
    /// allowed here; `Connection: close` is honoured.
    package var headers: HTTPHeaders
    /// The body; left out for HEAD, with its length still announced.
    package var body: [UInt8]

    package init(status: Int = 200, headers: HTTPHeaders = [:], body: [UInt8] = []) {
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
package struct TransportRefusal: Error, Equatable, Sendable {
    /// 400, 413, 431, 500 (for a handler's response that cannot be sent), 501, 503 or 507.
    package let status: Int
    /// What is wrong, in a phrase.
    package let reason: String

    /// A body doesn't fit into the memory that is left for bodies and answers.
    package static let memoryIsFull = TransportRefusal(
        status: 503, reason: "bodies and answers fill the memory reserved for them; try again later")
}

package struct ServerCounters: Sendable, Equatable {
    package var openConnections = 0
    /// Requests whose first line has arrived and that haven't ended.
    package var activeRequests = 0
    /// Connections suspended while their handler works.
    package var suspendedConnections = 0
    /// Handlers running, including those of requests that have already failed.
    package var runningHandlers = 0
    package var heldBodyBytes = 0
    /// Sockets still open so that clients can read an early answer.
    package var lingeringSockets = 0
    package var acceptedConnections = 0
    package var refusedConnections = 0
    package var endedRequests = 0
    /// When the certificate presented expires, or one of its chain if that is earlier, in seconds since 1970; nil without TLS.
    package var certificateExpiry: Int64?
}
