/// One part of a `multipart/form-data` body (RFC 7578).
package struct FormPart: Sendable, Equatable {
    /// The field's name. Browsers write a quotation mark in it as `%22`, which isn't decoded.
    package var name: String
    /// The name of its file, if the client sends one, as `filename` or `filename*` (RFC 6266). Don't trust it as a path.
    package var fileName: String?
    /// The part's own Content-Type, if it has one. Don't trust it.
    package var contentType: String?
    package var bytes: [UInt8]
}

package struct FormLimits: Sendable {
    package var maximumParts: Int
    package var maximumPartBytes: Int
    /// Bytes of one part's header lines together.
    package var maximumHeaderBytes: Int

    package init(maximumParts: Int = 64, maximumPartBytes: Int = 32 << 20, maximumHeaderBytes: Int = 8192) {
        self.maximumParts = maximumParts
        self.maximumPartBytes = maximumPartBytes
        self.maximumHeaderBytes = maximumHeaderBytes
    }
}

/// A form that cannot be read.
package struct FormError: Error, Sendable, Equatable, CustomStringConvertible {
    /// 400 for a malformed form, 413 for one above its limits, 415 for a body that is no form and for a part in a transfer
    /// encoding.
    package var status: Int
    /// What is wrong, where, and what to do.
    package var description: String

    init(_ status: Int, _ description: String) {
        self.status = status
        self.description = description
    }
}
