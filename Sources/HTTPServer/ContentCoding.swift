/// How a body is compressed (RFC 9110, 8.4.1).
package enum ContentCoding: String, Sendable, CaseIterable {
    /// The gzip format (RFC 1952), of one or more members; also called `x-gzip`.
    case gzip
    /// The zlib format (RFC 1950). The bare deflate format (RFC 1951), which some clients send under this name, is
    /// recognised.
    case deflate

    /// The coding that a request's `Content-Encoding` names; nil for none, and for `identity`, which means none.
    ///
    /// - Throws: ``ContentCodingError`` for an unknown coding, and for more than one. Nothing needs two, and each would
    ///   multiply the factor by which a body may expand.
    package init?(_ headers: HTTPHeaders) throws(ContentCodingError) {
        let names = headers.values(of: "Content-Encoding").flatMap { $0.split(separator: ",") }
            .map { trimmed($0).lowercased() }
            .filter { !$0.isEmpty && $0 != "identity" }
        guard let name = names.first else { return nil }
        guard names.count == 1 else { throw .severalCodings }
        guard let coding = name == "x-gzip" ? .gzip : ContentCoding(rawValue: name) else { throw .unknownCoding }
        self = coding
    }
}

/// Why a compressed body can't be read.
package enum ContentCodingError: Error, Equatable, Sendable, CustomStringConvertible {
    /// `Content-Encoding` names a coding that isn't known.
    case unknownCoding
    /// `Content-Encoding` names several codings.
    case severalCodings
    /// The compressed data ends before its end.
    case truncated(ContentCoding, byteCount: Int)
    /// The compressed data is damaged, or is not of its format, at about this byte.
    case corrupt(ContentCoding, offset: Int, byteCount: Int)
    /// The zlib data refers to a dictionary that only its sender has.
    case needsDictionary
    /// Bytes follow the end of the compressed data.
    case trailingBytes(ContentCoding, offset: Int, byteCount: Int)
    /// It decompresses to more than so many bytes.
    case tooLarge(maximumBytes: Int)
    /// It decompresses to more than so many times its own size.
    case tooCompressed(maximumRatio: Int)
    /// The bodies and answers of all requests fill the memory reserved for them.
    case noMemory

    package var description: String {
        let codings = ContentCoding.allCases.map(\.rawValue).joined(separator: " and ")
        return switch self {
        case .unknownCoding:
            "the content codings \(codings) are supported; use one of them or none"
        case .severalCodings:
            "a body may have one content coding, not several; send it with one of \(codings)"
        case .truncated(let coding, let count):
            "the \(coding.rawValue) data of the body ends early, after \(count) bytes; is it cut off?"
        case .corrupt(let coding, let offset, let count):
            "the \(coding.rawValue) data of the body is malformed or damaged at byte \(offset) of \(count)"
        case .needsDictionary:
            "the deflate data of the body needs a preset dictionary; compress it without one"
        case .trailingBytes(let coding, let offset, let count):
            "the \(coding.rawValue) data of the body ends at byte \(offset) of \(count); nothing may follow it"
        case .tooLarge(let maximum): "the body is larger than \(maximum) bytes once it is decompressed"
        case .tooCompressed(let ratio):
            "the body decompresses to more than \(ratio) times its size; send it without Content-Encoding"
        case .noMemory: "bodies and answers fill the memory reserved for them; try again later"
        }
    }
}
