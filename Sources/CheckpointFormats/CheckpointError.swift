import JSON

/// Why a checkpoint can't be read or written, though the system reads and writes its file; see `FileError` for the others.
public struct CheckpointError: Error, Equatable, CustomStringConvertible {
    /// The kinds of reason.
    public enum Kind: Sendable {
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

    /// The kind of reason.
    public let kind: Kind
    /// What is wrong, where, and what to do where that isn't obvious.
    public let description: String

    /// Puts an error together. Names that were taken from a file should pass through `quoted(_:)`.
    public init(_ kind: Kind, _ description: String) {
        self.kind = kind
        self.description = description
    }

    /// Runs `body` and puts `place` in front of its `CheckpointError`. A `JSONError` becomes a `CheckpointError` of kind
    /// `malformed`.
    public static func locating<R>(in place: @autoclosure () -> String, _ body: () throws -> R) throws -> R {
        do {
            return try body()
        } catch let error as CheckpointError {
            throw CheckpointError(error.kind, "\(place()): \(error.description)")
        } catch let error as JSONError {
            throw CheckpointError(.malformed, "\(place()): \(error.description)")
        }
    }
}
