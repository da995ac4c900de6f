import UntrustedText

/// The lines of a text; they end in LF or CRLF, the last one perhaps in neither.
func lines(of text: String) -> [String] {
    // Not the text's characters: to Swift CRLF is one of them, and so is LF with an accent behind it.
    var lines = text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).map { line in
        String(decoding: line.last == UInt8(ascii: "\r") ? line.dropLast() : line, as: UTF8.self)
    }
    if lines.last == "" { lines.removeLast() }
    return lines
}

/// A text file with one class name a line.
enum ClassNames {
    private static let largest = 8 << 20

    /// The file is no such text.
    struct NotText: Error, Equatable, CustomStringConvertible {
        var description: String { "the file of labels is not UTF-8 text of up to 8 MiB" }
    }

    /// The names, in the file's order.
    ///
    /// - Throws: `NotText`.
    static func parse(_ bytes: [UInt8]) throws(NotText) -> [String] {
        guard bytes.count <= largest, let text = String(streamSafe: bytes) else { throw NotText() }
        return lines(of: text)
    }
}
