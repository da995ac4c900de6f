import Console
import Files

/// Where a command's results go: a file that appears complete or not at all, or standard output.
@MainActor
package final class ResultFile {
    private var file: AtomicFile?
    private var pending: [UInt8] = []

    private static let bufferSize = 1 << 16

    /// Begins the file at `path`; nil for standard output.
    ///
    /// - Throws: `FileError` of kind `unwritable`.
    package init(_ path: String?) throws {
        if let path { file = try AtomicFile(path: path) }
    }

    /// Appends `bytes`.
    ///
    /// - Throws: `FileError` of kind `unwritable`, or `CommandFailure` with status `unwritableOutput` if it is
    ///   standard output, also where its reader has gone.
    package func write(_ bytes: [UInt8]) throws {
        pending += bytes
        if pending.count >= Self.bufferSize { try flush() }
    }

    package func write(_ text: String) throws { try write(Array(text.utf8)) }

    /// Writes `text` and puts the file in its place.
    package func writeWhole(_ text: String) throws {
        try write(text)
        try commit()
    }

    package func commit() throws {
        try flush()
        guard let file = file.take() else { return }
        try file.commit()
    }

    private func flush() throws {
        defer { pending.removeAll(keepingCapacity: true) }
        if file != nil {
            try file!.write(pending)
        } else {
            try writeToStandardOutput()
        }
    }

    private func writeToStandardOutput() throws {
        do throws(SystemError) {
            try FileDescriptor.standardOutput.write(pending)
        } catch {
            throw CommandFailure(.unwritableOutput, "can't write to standard output: \(error)")
        }
    }
}
