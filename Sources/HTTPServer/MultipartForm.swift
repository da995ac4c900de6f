/// One part of a `multipart/form-data` body (RFC 7578).
public struct FormPart: Sendable, Equatable {
    /// The field's name. Browsers write a quotation mark in it as `%22`, which isn't decoded.
    public var name: String
    /// The name of its file, if the client sends one, as `filename` or `filename*` (RFC 6266). Don't trust it as a path.
    public var fileName: String?
    /// The part's own Content-Type, if it has one. Don't trust it.
    public var contentType: String?
    /// The content.
    public var bytes: [UInt8]
}

/// What a form may hold.
public struct FormLimits: Sendable {
    /// Parts in the form.
    public var maximumParts: Int
    /// Bytes of one part's content.
    public var maximumPartBytes: Int
    /// Bytes of one part's header lines together.
    public var maximumHeaderBytes: Int

    /// A form's limits.
    public init(maximumParts: Int = 64, maximumPartBytes: Int = 32 << 20, maximumHeaderBytes: Int = 8192) {
        self.maximumParts = maximumParts
        self.maximumPartBytes = maximumPartBytes
        self.maximumHeaderBytes = maximumHeaderBytes
    }
}

/// A form that cannot be read.
public struct FormError: Error, Sendable, Equatable, CustomStringConvertible {
    /// 400 for a malformed form, 413 for one above its limits, 415 for a body that is no form and for a part in a transfer
    /// encoding.
    public var status: Int
    /// What is wrong, where, and what to do.
    public var description: String

    init(_ status: Int, _ description: String) {
        self.status = status
        self.description = description
    }
}
