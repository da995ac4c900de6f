import Glibc
import UntrustedText

/// Why a checkpoint can't be read or written.
public struct CheckpointError: Error, Equatable, CustomStringConvertible {
    /// What sort of reason.
    public enum Kind: Sendable {
        /// The operating system refused to open or read a file.
        case unreadable
        /// The operating system refused to create, write or replace a file.
        case unwritable
        /// The file is of another format, or of a form of this one that isn't read.
        case unsupported
        /// The file breaks its own format's rules, or is truncated or damaged.
        case malformed
        /// The file asks for more than the reader is willing to spend.
        case limitExceeded
        /// What was asked for isn't in the file.
        case missing
        /// A number can't be stored in the element type asked for.
        case unrepresentable
    }

    /// The sort of reason.
    public let kind: Kind
    /// What is wrong, where, and what to do where that isn't obvious.
    public let description: String

    /// Puts an error together; names taken from a file should pass through `quoted(_:)`.
    public init(_ kind: Kind, _ description: String) {
        self.kind = kind
        self.description = description
    }

    /// Runs `body`, putting the place it is at work in front of its error.
    public static func locating<R>(in place: @autoclosure () -> String, _ body: () throws -> R) throws -> R {
        do {
            return try body()
        } catch let error as CheckpointError {
            throw CheckpointError(error.kind, "\(place()): \(error.description)")
        }
    }

    /// The error for a system call that has just failed, `errno` still telling why.
    static func system(_ kind: Kind, _ action: String, _ path: String, code: Int32) -> Self {
        Self(kind, "can't \(action) \(path): \(String(cString: strerror(code)))")
    }
}

/// A name from a file, quoted for a message: control characters and anything that isn't ASCII escaped, so that a hostile
/// name can't write to a terminal or forge a log line, and cut off after 120 characters.
public func quoted(_ name: String) -> String {
    "'\(shown(name, atMost: 120))'"
}
