import Files
import Glibc
import JSON

/// A file with a line of JSON for every step of a run.
///
/// A line is written whole, by one call, before any state holds its step. A run that goes on from a state drops what is
/// behind that state's last step: lines of steps that it takes again, and a line that was torn when the run was killed.
final class StepLog {
    struct Line: Codable, Equatable {
        /// Counted from 1.
        let step: Int
        /// Counted from 1.
        let epoch: Int
        /// The mean loss of the batch before the step.
        let loss: Double
        /// The mean loss of the flow before the step; nil where it isn't learnt in addition to classes.
        var flowLoss: Double?
        let learningRate: Double
        /// The norm of the gradient before it was clipped.
        let gradientNorm: Double
        let images: Int
        /// Nil if the clock didn't move.
        let imagesPerSecond: Double?
    }

    private let path: String
    private let file: FileDescriptor

    /// Opens the log at `path`, made if it isn't there, behind the lines of the first `count` steps.
    ///
    /// - Throws: `FileError` if it can't be read or written, `TrainingError.unusableLog` if the file isn't such a log, which
    ///   then is as it was.
    init(path: String, keepingSteps count: Int) throws {
        self.path = path
        file = try Self.locating("open", path) { () throws(SystemError) in
            try FileDescriptor(opening: path, O_RDWR | O_CREAT | O_APPEND)
        }
        let length = try Self.lengthOfSteps(upTo: count, in: file, path)
        try Self.locating("shorten", path) { () throws(SystemError) in try file.truncate(to: length) }
    }

    deinit { file.close() }

    /// Appends a step's line.
    ///
    /// - Throws: `FileError` of kind `unwritable`.
    func append(_ line: Line) throws {
        let bytes = try JSONCoder.encode(line) + [UInt8(ascii: "\n")]
        try Self.locating("write", path) { () throws(SystemError) in try file.write(bytes) }
    }

    /// Waits until the disk has the lines, so that the log never lacks a step of a state that is saved later.
    ///
    /// - Throws: `FileError` of kind `unwritable`.
    func flush() throws {
        try Self.locating("flush", path) { () throws(SystemError) in
            do throws(SystemError) {
                try file.flush()
            } catch SystemError(code: EINVAL) {
                // Pipes and terminals can't be flushed and need not be.
            }
        }
    }

    /// How many bytes the lines of steps up to the last have.
    private static func lengthOfSteps(upTo last: Int, in file: FileDescriptor, _ path: String) throws -> Int {
        var status = stat()
        guard fstat(file.number, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw FileError(.unwritable, "\(path) is not a regular file")
        }
        var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
        try bytes.withUnsafeMutableBytes { try RegularFile.fill($0, from: file, path, at: 0) }
        var (length, step) = (0, 0)
        // The piece behind the last line feed is empty, or a torn line.
        for line in bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).dropLast() {
            guard let found = (try? JSONCoder.decode(Line.self, from: line))?.step, found > step else {
                throw TrainingError.unusableLog(
                    path: path,
                    problem: "after byte \(length) there is no line of a step that follows step \(step)")
            }
            guard found <= last else { break }
            step = found
            length += line.count + 1
        }
        return length
    }

    private static func locating<Result>(
        _ action: String, _ path: String, _ body: () throws(SystemError) -> Result
    ) throws(FileError) -> Result {
        try FileError.locating(.unwritable, action, "the log of steps \(path)", body)
    }
}
