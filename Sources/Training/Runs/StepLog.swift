import CheckpointFormats
import FoundationEssentials
import Glibc
import UntrustedText

/// A file with a line of JSON for every step of a run.
///
/// A line is written whole, by one call, before any state holds its step. A run that goes on from a state drops what is
/// behind that state's last step: lines of steps that it takes again, and a line that was torn when the run was killed.
final class StepLog {
    /// What a step's line says.
    struct Line: Codable, Equatable {
        /// Counted from 1.
        let step: Int
        /// Counted from 1.
        let epoch: Int
        /// The mean loss of the batch before the step.
        let loss: Double
        let learningRate: Double
        /// The norm of the gradient before it was clipped.
        let gradientNorm: Double
        /// Images of the batch.
        let images: Int
        /// Nil if the clock didn't move.
        let imagesPerSecond: Double?
    }

    private let path: String
    private let descriptor: Int32

    /// Opens the log at `path`, made if it isn't there, behind the lines of the first `count` steps.
    ///
    /// - Throws: `CheckpointError` of kind `malformed` if the file isn't such a log, which then is as it was, and of kind
    ///   `unwritable` if it can't be written.
    init(path: String, keepingSteps count: Int) throws {
        self.path = path
        let descriptor = open(path.systemPath, O_RDWR | O_CREAT | O_CLOEXEC | O_APPEND, 0o666)
        guard descriptor >= 0 else { throw Self.failure("open", path) }
        self.descriptor = descriptor
        let length = try Self.lengthOfSteps(upTo: count, in: descriptor, path)
        guard ftruncate(descriptor, length) == 0 else { throw Self.failure("shorten", path) }
    }

    deinit { close(descriptor) }

    /// Appends a step's line.
    ///
    /// - Throws: `CheckpointError` of kind `unwritable`.
    func append(_ line: Line) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        var rest = (try encoder.encode(line) + Data("\n".utf8))[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { throw Self.failure("write", path) }
            rest = rest.dropFirst(count)
        }
    }

    /// Has the lines outlast a power failure, so that the log never lacks a step of a state that is saved later.
    ///
    /// - Throws: `CheckpointError` of kind `unwritable`.
    func flush() throws {
        // Pipes and terminals can't be flushed and need not be.
        guard fsync(descriptor) == 0 || errno == EINVAL else { throw Self.failure("flush", path) }
    }

    /// How many bytes the lines of steps up to the last have.
    private static func lengthOfSteps(upTo last: Int, in descriptor: Int32, _ path: String) throws -> Int {
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw CheckpointError(.unwritable, "\(path) is not a regular file")
        }
        var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
        try bytes.withUnsafeMutableBytes { try readFully(descriptor, path, into: $0, from: 0) }
        var (length, step) = (0, 0)
        // The piece behind the last line feed is empty, or a torn line.
        for line in bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).dropLast() {
            guard let found = (try? JSONDecoder().decode(Line.self, from: Data(line)))?.step, found > step else {
                throw CheckpointError(
                    .malformed,
                    "\(path) is not the log of this run's steps: after byte \(length) there is no line of a step that "
                        + "follows step \(step); give another file")
            }
            guard found <= last else { break }
            step = found
            length += line.count + 1
        }
        return length
    }

    private static func failure(_ action: String, _ path: String) -> CheckpointError {
        CheckpointError(.unwritable, "can't \(action) the log of steps \(path): \(systemMessage())")
    }
}
