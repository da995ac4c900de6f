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
    static func examine(_ headers: HTTPHeaders, version: String) throws(TransportRefusal) -> RequestFraming {
        func require(_ condition: Bool, _ reason: String, status: Int = 400) throws(TransportRefusal) {
            guard condition else { throw TransportRefusal(status: status, reason: reason) }
        }
        try require(
            headers.fields.allSatisfy(\.isWellFormed),
            "a header field's name is not a token, or its value contains a control character")
        let hosts = headers.values(of: "Host")
        try require(hosts.count <= 1, "there is more than one Host header")
        try require(!hosts.isEmpty || version == "HTTP/1.0", "there is no Host header")
        let lengths = headers.values(of: "Content-Length")
        let encodings = headers.values(of: "Transfer-Encoding")
        try require(lengths.count <= 1, "there is more than one Content-Length header")
        try require(lengths.isEmpty || encodings.isEmpty, "Content-Length and Transfer-Encoding exclude each other")
        if let encoding = encodings.first {
            // RFC 9112, 6.1: HTTP/1.0 has no transfer codings, and a proxy that passed the request on may not have seen one.
            try require(version != "HTTP/1.0", "HTTP/1.0 has no Transfer-Encoding")
            try require(encodings.count == 1, "there is more than one Transfer-Encoding header")
            try require(
                HTTPHeaders.equal(encoding, "chunked"), "the only transfer coding supported is chunked", status: 501)
            return .chunked
        }
        guard let length = lengths.first else { return .empty }
        guard length.isDecimal, let bytes = UInt64(length) else {
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
