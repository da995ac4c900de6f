/// How a request's body is delimited, read from its headers alone.
enum RequestFraming: Equatable, Sendable {
    case empty
    case length(UInt64)
    case chunked

    /// Decides the framing and refuses every head on which two parsers could disagree about where the body ends
    /// (RFC 9112, 6.3): libmicrohttpd takes the first of repeated lengths and lets Transfer-Encoding win silently.
    ///
    /// - Parameter version: the request line's; since HTTP/1.1 a request names its host (RFC 9112, 3.2) and may have a
    ///   transfer coding.
    static func examine(
        _ headers: HTTPHeaders, version: String
    ) throws(TransportRefusal) -> RequestFraming {
        for field in headers where !field.isWellFormed {
            throw TransportRefusal(
                status: 400, reason: "a header field's name is not a token, or its value contains a control character")
        }
        let hosts = headers.values(of: "Host")
        guard hosts.count <= 1 else {
            throw TransportRefusal(status: 400, reason: "there is more than one Host header")
        }
        guard !hosts.isEmpty || version == "HTTP/1.0" else {
            throw TransportRefusal(status: 400, reason: "there is no Host header")
        }
        let lengths = headers.values(of: "Content-Length")
        let encodings = headers.values(of: "Transfer-Encoding")
        guard lengths.count <= 1 else {
            throw TransportRefusal(status: 400, reason: "there is more than one Content-Length header")
        }
        guard lengths.isEmpty || encodings.isEmpty else {
            throw TransportRefusal(status: 400, reason: "Content-Length and Transfer-Encoding exclude each other")
        }
        if let encoding = encodings.first {
            // RFC 9112, 6.1: HTTP/1.0 has no transfer codings, and a proxy that passed the request on may not have seen one.
            guard version != "HTTP/1.0" else {
                throw TransportRefusal(status: 400, reason: "HTTP/1.0 has no Transfer-Encoding")
            }
            guard encodings.count == 1 else {
                throw TransportRefusal(status: 400, reason: "there is more than one Transfer-Encoding header")
            }
            guard HTTPHeaders.equal(encoding, "chunked") else {
                throw TransportRefusal(status: 501, reason: "the only transfer coding supported is chunked")
            }
            return .chunked
        }
        guard let length = lengths.first else { return .empty }
        guard !length.isEmpty, length.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let bytes = UInt64(length) else {
            throw TransportRefusal(status: 400, reason: "Content-Length is not a number of bytes")
        }
        return bytes == 0 ? .empty : .length(bytes)
    }

    /// The length announced, nil if the body is chunked.
    var announcedLength: UInt64? {
        switch self {
        case .empty: 0
        case .length(let bytes): bytes
        case .chunked: nil
        }
    }
}
