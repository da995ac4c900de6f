import Files
import Glibc

/// Small text files, or pipes, that an option names.
package enum InputFile {
    private static let textLimit = 1 << 20

    /// The text of a file of at most 1 MiB that an option names, such as a certificate or a key.
    ///
    /// - Parameter place: the flag or variable that names the file, for the error.
    /// - Throws: `CommandFailure` with the system's reason. What is in the file isn't told.
    package static func text(_ path: String, at place: String) throws -> String {
        func failure(_ status: ExitStatus, _ reason: String) -> CommandFailure {
            CommandFailure(status, "\(place): \(path): \(reason)")
        }
        let bytes: [UInt8]
        do throws(SystemError) {
            bytes = try FileDescriptor.contents(of: path, limit: textLimit)
        } catch {
            let advice = error.code == EACCES ? "; the service's user must be able to read it" : ""
            throw failure(.unreadableInput, "\(error)\(advice)")
        }
        guard bytes.count <= textLimit else { throw failure(.unusableData, "it is larger than 1 MiB") }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw failure(.unusableData, "it is not UTF-8 text")
        }
        return text
    }

    /// The lines of a text; they end in LF or CRLF, the last one perhaps in neither. A byte-order mark, which programs of
    /// Windows put in front, is no part of the first.
    package static func lines(of text: String) -> [String] {
        let mark = "\u{FEFF}".utf8
        let bytes = text.utf8.starts(with: mark) ? text.utf8.dropFirst(mark.count) : text.utf8[...]
        // Not the text's characters: to Swift CRLF is one of them, and so is LF with an accent behind it.
        var lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).map { line in
            String(decoding: line.last == UInt8(ascii: "\r") ? line.dropLast() : line, as: UTF8.self)
        }
        if lines.last?.isEmpty == true { lines.removeLast() }
        return lines
    }
}
