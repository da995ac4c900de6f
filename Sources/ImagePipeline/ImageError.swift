/// Why bytes are not an image that this service takes.
public struct ImageError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The kind of error, from which a status and a metric follow.
    public enum Kind: String, Sendable, CaseIterable {
        /// Of no format that is decoded.
        case unrecognised
        /// The bytes end before the image does.
        case truncated
        /// The bytes contradict their format.
        case corrupt
        /// More bytes, pixels, memory or scans than the limits allow.
        case tooLarge
        /// The longer side exceeds the shorter one by more than the limit allows.
        case tooElongated
        /// No bytes, or no pixels.
        case empty
        /// Valid, but of a variety that is not decoded.
        case unsupported
    }

    /// The kind of error.
    public let kind: Kind
    /// What is wrong, where, and what to do about it, in one sentence or two for the person who sent the image.
    public let message: String

    /// Describes a fault of an image.
    public init(_ kind: Kind, _ message: String) {
        self.kind = kind
        self.message = message
    }

    /// The message.
    public var description: String { message }
}
