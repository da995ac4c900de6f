import UntrustedText

/// Why a source can't be imported, though its file can be read.
public struct ImportError: Error, Equatable, CustomStringConvertible {
    /// The kinds of reason.
    public enum Kind: Sendable {
        /// An option is missing, or one doesn't apply to the source.
        case options
        /// The source isn't a model that can be imported.
        case unusable
    }

    /// The kind of reason.
    public let kind: Kind
    /// What is wrong and what to do.
    public let description: String

    static func unusable(_ problem: String) -> ImportError { ImportError(kind: .unusable, description: problem) }

    static func options(_ problem: String) -> ImportError { ImportError(kind: .options, description: problem) }

    static func missing(_ name: String) -> ImportError { .unusable("missing tensor \(quoted(name))") }

    /// A statement that the source lacks.
    ///
    /// - Parameter reason: why it is needed, as a sentence without its full stop.
    static func unstated(_ options: ImportOption..., because reason: String) -> ImportError {
        let names = options.map { "--\($0.rawValue)" }.joined(separator: " or ")
        return .options("\(names) is missing: \(reason); give it, or name a published model with --as")
    }
}
