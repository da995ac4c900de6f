/// What a request's target says, decoded.
struct RequestTarget: Equatable, Sendable {
    /// The path, percent-decoded except for slashes, which stay `%2F`: such a slash belongs to a segment and doesn't end it.
    /// The path isn't normalised: `/a/../b` matches no other path.
    var path: String
    /// The query's items in order; the value is nil where there is no `=`.
    var query: [QueryItem]

    /// Parses origin-form (`/path?query`), absolute-form (`http://host/path`) and `*` (RFC 9112, 3.2).
    ///
    /// - Parameter received: nil if its bytes are not UTF-8.
    /// - Throws: ``InvalidTarget`` for anything else: controls, spaces, fragments, broken percent-escapes, bytes that
    ///   are not UTF-8, escaped or not, and NUL.
    init(_ received: String?) throws(InvalidTarget) {
        guard let received else { throw InvalidTarget(reason: "it is not UTF-8") }
        // Bytes, as proxies see them: to Swift an & with an accent behind it is another character.
        let bytes = Array(received.utf8)
        guard bytes.allSatisfy({ $0 > 0x20 && $0 != 0x7F && $0 != UInt8(ascii: "#") }) else {
            throw InvalidTarget(reason: "it contains a space, a control character or a fragment")
        }
        let parts = try Self.withoutAuthority(bytes[...]).split(
            separator: UInt8(ascii: "?"), maxSplits: 1, omittingEmptySubsequences: false)
        path = try Self.text(PercentEncoding.decode(parts[0], slash: "%2F"))
        query = []
        guard parts.count == 2 else { return }
        for item in parts[1].split(separator: UInt8(ascii: "&")) {
            let pair = item.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
                .map { $0.map { $0 == UInt8(ascii: "+") ? UInt8(ascii: " ") : $0 } }
            query.append(
                QueryItem(
                    name: try Self.text(PercentEncoding.decode(pair[0])),
                    value: pair.count == 2 ? try Self.text(PercentEncoding.decode(pair[1])) : nil))
        }
    }

    private static func withoutAuthority(_ target: ArraySlice<UInt8>) throws(InvalidTarget) -> ArraySlice<UInt8> {
        let slash = UInt8(ascii: "/")
        if target.first == slash || target.elementsEqual("*".utf8) { return target }
        for scheme in ["http://", "https://"]
        where target.count > scheme.utf8.count
            && HTTPHeaders.equal(String(decoding: target.prefix(scheme.utf8.count), as: UTF8.self), scheme)
        {
            let authority = target.dropFirst(scheme.utf8.count)
            guard let end = authority.firstIndex(where: { $0 == slash || $0 == UInt8(ascii: "?") }) else {
                return [slash]
            }
            return authority[end] == slash ? authority[end...] : [slash] + authority[end...]
        }
        throw InvalidTarget(reason: "it is neither a path that starts with / nor an http URL")
    }

    /// The text of decoded bytes; nil if an escape among them is broken.
    private static func text(_ decoded: [UInt8]?) throws(InvalidTarget) -> String {
        guard let decoded else { throw InvalidTarget(reason: "a % is not followed by two hexadecimal digits") }
        guard !decoded.contains(0) else { throw InvalidTarget(reason: "it contains %00") }
        guard let string = String(streamSafe: decoded) else {
            throw InvalidTarget(reason: "it is not UTF-8, or has over 30 combining characters in a row")
        }
        return string
    }
}

/// One item of a query, percent-decoded, `+` meaning a space.
package struct QueryItem: Sendable, Equatable {
    /// The text before the first `=`.
    package var name: String
    /// The text after it; nil if there is no `=`.
    package var value: String?
}

/// A request target that is refused with 400.
struct InvalidTarget: Error, Equatable {
    var reason: String
}
