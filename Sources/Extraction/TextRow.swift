import Digests
import JSON
import UntrustedText

/// The list of the paths of a matrix's rows, one a line.
///
/// A path with a line break can't stand on one line as it is. As in the lists of sha256sum, its line begins with a
/// backslash, and so does that of a path that itself begins with one. In such a line `\\` stands for a backslash, `\n` for a line
/// feed and `\r` for a carriage return. All other lines are the paths' own bytes.
package enum PathList {
    /// What a matrix's name is followed by in that of its list of paths.
    package static let suffix = ".paths"

    /// A path's line, its end included.
    static func line(_ path: String) -> [UInt8] {
        let bytes = path.pathBytes
        let end = [UInt8(ascii: "\n")]
        guard bytes.first == UInt8(ascii: "\\") || bytes.contains(where: { "\n\r".utf8.contains($0) }) else {
            return bytes + end
        }
        let escaped = bytes.flatMap { byte -> [UInt8] in
            switch byte {
            case UInt8(ascii: "\\"): Array(#"\\"#.utf8)
            case UInt8(ascii: "\n"): Array(#"\n"#.utf8)
            case UInt8(ascii: "\r"): Array(#"\r"#.utf8)
            default: [byte]
            }
        }
        return [UInt8(ascii: "\\")] + escaped + end
    }
}

/// A path in a row of JSON, which holds Unicode only.
struct PathText {
    /// The path, or, if its bytes aren't UTF-8, a text to be read by people.
    let text: String
    /// The path's bytes in base64, if they aren't UTF-8.
    let bytes: String?

    init(_ path: String) {
        let bytes = path.pathBytes
        let isText = bytes.elementsEqual(path.utf8)
        text = isText ? path : printable(path)
        self.bytes = isText ? nil : String(decoding: Base64.encode(bytes), as: UTF8.self)
    }
}

package enum TextRow {
    static func json(_ value: some Encodable) throws -> [UInt8] {
        try JSONCoder.encode(value) + [UInt8(ascii: "\n")]
    }

    /// One line of CSV, fields quoted where RFC 4180 wants it; the path, which need not be UTF-8, as it is.
    package static func csv(path: String, _ fields: [String]) -> [UInt8] {
        let all = [path.pathBytes] + fields.map { Array($0.utf8) }
        return Array(all.map(quotedIfNeeded).joined(separator: [UInt8(ascii: ",")])) + [UInt8(ascii: "\n")]
    }

    private static func quotedIfNeeded(_ field: [UInt8]) -> [UInt8] {
        guard field.contains(where: { "\",\r\n".utf8.contains($0) }) else { return field }
        let quote = UInt8(ascii: "\"")
        return [quote] + field.flatMap { $0 == quote ? [quote, quote] : [$0] } + [quote]
    }
}
