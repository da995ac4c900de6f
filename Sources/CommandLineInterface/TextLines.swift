import UntrustedText

/// The lines of a text; they end in LF or CRLF, the last one perhaps in neither. A byte-order mark, which programs of
/// Windows put in front, is no part of the first.
func lines(of text: String) -> [String] {
    let mark = "\u{FEFF}".utf8
    let bytes = text.utf8.starts(with: mark) ? text.utf8.dropFirst(mark.count) : text.utf8[...]
    // Not the text's characters: to Swift CRLF is one of them, and so is LF with an accent behind it.
    var lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).map { line in
        String(decoding: line.last == UInt8(ascii: "\r") ? line.dropLast() : line, as: UTF8.self)
    }
    if lines.last?.isEmpty == true { lines.removeLast() }
    return lines
}

/// A text file with one class name a line.
enum ClassNames {
    /// The most bytes that such a file may have.
    static let largest = 8 << 20

    /// Why the file is no such text.
    enum NotText: Error, Equatable, CustomStringConvertible {
        case tooLong(byteCount: Int)
        case notUTF8
        /// A name with more combining characters in a row than Swift can compare in time.
        case combiningCharacters(line: Int)

        var description: String {
            switch self {
            case .tooLong(let byteCount):
                "the file of labels has \(byteCount) bytes, more than the \(largest) allowed; it needs one class name a line"
            case .notUTF8:
                "the file of labels is not UTF-8 text; save it as such, one class name a line"
            case .combiningCharacters(let line):
                "line \(line) of the file of labels has over 30 combining characters in a row; shorten the name"
            }
        }
    }

    /// The names, in the file's order.
    ///
    /// - Throws: `NotText`.
    static func parse(_ bytes: [UInt8]) throws(NotText) -> [String] {
        guard bytes.count <= largest else { throw NotText.tooLong(byteCount: bytes.count) }
        guard let text = String(validating: bytes, as: UTF8.self) else { throw NotText.notUTF8 }
        let names = lines(of: text)
        if let index = names.firstIndex(where: { !$0.isStreamSafe }) {
            throw NotText.combiningCharacters(line: index + 1)
        }
        return names
    }
}
