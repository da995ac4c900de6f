/// A request's first part: everything before its body.
package struct RequestHead: Sendable {
    /// The method, case as sent, except that HEAD reads `GET`: the server itself leaves the body out (``isHead``).
    package var method: String
    package var isHead = false
    /// The path, percent-decoded except for slashes (`%2F`), and not normalised.
    package var path: String
    package var query: [QueryItem] = []
    package var headers: HTTPHeaders
    /// `HTTP/1.0` or `HTTP/1.1`, which any later 1.x is taken for (RFC 9110, 2.5).
    package var version = "HTTP/1.1"
    /// The client's address, such as `192.0.2.1` or `2001:db8::1`, without its port.
    package var remoteAddress: String
    /// When the request line had arrived.
    package var received: ContinuousClock.Instant

    package init(
        method: String, path: String, query: [QueryItem] = [],
        headers: HTTPHeaders = [:], remoteAddress: String = "127.0.0.1", received: ContinuousClock.Instant = .now
    ) {
        self.method = method
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
package struct Request: Sendable {
    /// A request's body, as its ``BodyPolicy`` had it stored.
    package enum Body: Sendable {
        /// All of it; empty if there was none.
        case bytes([UInt8])
        /// In a file, which is removed when the request ends unless it has been renamed by then.
        case file(path: String, byteCount: Int)
    }

    package var head: RequestHead
    package var body: Body
    /// The most bytes that the body may have, also once it is decompressed.
    let maximumBodyBytes: Int
    let share: BodyShare

    /// The body's bytes; empty if it is in a file.
    package var bytes: [UInt8] {
        if case .bytes(let bytes) = body { bytes } else { [] }
    }

    /// Reserves memory for the answer until the request ends. The limit covers all bodies and answers together.
    ///
    /// - Returns: false if the limit doesn't leave that much.
    package var takeMemory: @Sendable (_ bytes: Int) -> Bool {
        { [share] bytes in share.reserve(bytes) }
    }

    /// The most bytes that ``takeMemory`` can ever give: the limit for all bodies and answers together.
    package var memoryLimit: Int { share.maximum }

    /// This request with its body decompressed and without its `Content-Encoding`. A body that is in a file stays as it is.
    ///
    /// The result is within the limit of the request's ``BodyPolicy``. It is also at most 1 MiB or a hundred times as large as
    /// the compressed body, if that is more. Its memory counts among that of all bodies until the request ends. Decompressing
    /// takes up to some 100 ms, so it belongs on a worker.
    ///
    /// - Throws: ``ContentCodingError`` for data that is damaged, cut off or above these limits.
    package func decoded(by coding: ContentCoding) throws(ContentCodingError) -> Request {
        guard case .bytes(let bytes) = body else { return self }
        var decoded = self
        decoded.head.headers["Content-Encoding"] = nil
        decoded.body = .bytes(
            try ContentDecoder.content(
                of: bytes, coding: coding, limits: ContentLimits(maximumBytes: maximumBodyBytes),
                reserve: { share.reserve($0) }))
        return decoded
    }
}
