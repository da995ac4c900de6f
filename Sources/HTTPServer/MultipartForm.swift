import CMicroHTTPD
import UntrustedText

/// One part of a `multipart/form-data` body (RFC 7578).
public struct FormPart: Sendable, Equatable {
    /// The field's name.
    public var name: String
    /// The name of the file it came from, if the client says so. Not to be trusted as a path.
    public var fileName: String?
    /// The part's own Content-Type, if it has one. Not to be trusted.
    public var contentType: String?
    /// The content.
    public var bytes: [UInt8]

    /// A part of this content.
    public init(name: String, fileName: String? = nil, contentType: String? = nil, bytes: [UInt8]) {
        self.name = name
        self.fileName = fileName
        self.contentType = contentType
        self.bytes = bytes
    }
}

/// What a form may hold.
public struct FormLimits: Sendable {
    /// Parts in the form.
    public var maximumParts: Int
    /// Bytes of one part's content.
    public var maximumPartBytes: Int
    /// Bytes of one header line of a part, 512 to 65536.
    public var maximumHeaderBytes: Int

    /// These limits.
    public init(maximumParts: Int = 64, maximumPartBytes: Int = 32 << 20, maximumHeaderBytes: Int = 8192) {
        self.maximumParts = maximumParts
        self.maximumPartBytes = maximumPartBytes
        self.maximumHeaderBytes = maximumHeaderBytes
    }
}

/// A form that cannot be read.
public struct FormError: Error, Sendable, Equatable, CustomStringConvertible {
    /// 400 for a malformed form, 413 for one above its limits, 415 for a body that is no form.
    public var status: Int
    /// What is wrong, where, and what to do.
    public var description: String
}

extension Request {
    /// The parts of a `multipart/form-data` body, parsed by libmicrohttpd's post processor.
    ///
    /// That reads the boundary from the connection's own headers, so this works only inside the handler, before it has
    /// answered. The time taken grows with the body, some 50 ms for 32 MiB: large forms belong on a worker. Parts of
    /// a nested `multipart/mixed` are given one by one under the outer part's name.
    ///
    /// - Throws: ``FormError`` for a body that isn't a form, a missing or malformed boundary, a missing final boundary,
    ///   a part without a name, and anything above the limits.
    public func parts(limits: FormLimits = FormLimits()) throws(FormError) -> [FormPart] {
        try FormBoundary.check(head.headers["Content-Type"])
        guard case .bytes(let bytes) = body else {
            throw FormError(status: 415, description: "a form cannot be read from a body that was stored in a file")
        }
        let reading = exchange?.withConnection { FormReading(bytes, on: $0, limits: limits) }
        guard let reading else {
            throw FormError(status: 400, description: "the form can only be read while its request is being handled")
        }
        return try reading.parts()
    }
}

/// What the post processor makes of a body.
struct FormReading {
    private let result: CMHDFormResult
    private let collector: FormCollector
    private let bufferSize: Int

    /// Reads a form whose Content-Type, the connection's, has passed ``FormBoundary``.
    init(_ bytes: [UInt8], on connection: OpaquePointer, limits: FormLimits) {
        var collector = FormCollector(limits: limits)
        let bufferSize = min(max(limits.maximumHeaderBytes, 512), 65536)
        // All of it at once: in pieces, the processor announces a part that begins at a piece's end twice, just as it
        // would an empty part and another one of the same name.
        result = bytes.withUnsafeBytes { body in
            withUnsafeMutablePointer(to: &collector) {
                CMHDParseForm(connection, body.baseAddress, body.count, bufferSize, collectFormPart, $0)
            }
        }
        self.collector = collector
        self.bufferSize = bufferSize
    }

    /// The form's parts, at least one.
    ///
    /// - Throws: ``FormError`` for a form that is malformed, cut off or above its limits.
    func parts() throws(FormError) -> [FormPart] {
        if let error = collector.error { throw error }
        switch result {
        case CMHDFormParsed where !collector.parts.isEmpty:
            return collector.parts
        case CMHDFormParsed:
            throw FormError(status: 400, description: "the form has no part: the boundary does not occur in the body")
        case CMHDFormTruncated:
            throw FormError(
                status: 400,
                description: "the form ends before its final boundary, after \(collector.parts.count) parts")
        default:
            throw FormError(
                status: 400,
                description: "the form is malformed after \(collector.parts.count) parts: a header line is longer than "
                    + "\(bufferSize) bytes, a boundary is not followed by a line end, or bytes follow the final boundary"
            )
        }
    }
}

/// What libmicrohttpd must not be left to judge in a form's Content-Type.
enum FormBoundary {
    /// Checks that the boundary is one that the post processor reads as the client means it: it takes everything after
    /// `boundary=` for the boundary, further parameters included, and version 0.9.75 before Debian's patch crashes on a
    /// lone quote.
    static func check(_ contentType: String?) throws(FormError) {
        guard let contentType,
            let mediaType = contentType.split(separator: ";", omittingEmptySubsequences: false).first,
            HTTPHeaders.equal(mediaType.filter { $0 != " " && $0 != "\t" }, "multipart/form-data")
        else {
            throw FormError(status: 415, description: "the body is not multipart/form-data")
        }
        let parameter = "boundary="
        let bytes = Array(contentType.utf8)
        // The bytes that the post processor searches for. As text, an = with an accent behind it would be passed over.
        guard let start = bytes.indices.first(where: { bytes[$0...].starts(with: parameter.utf8) }) else {
            throw FormError(status: 400, description: "the form's Content-Type has no boundary parameter")
        }
        var boundary = bytes[(start + parameter.utf8.count)...]
        if boundary.first == UInt8(ascii: "\""), boundary.count >= 2, boundary.last == UInt8(ascii: "\"") {
            boundary = boundary.dropFirst().dropLast()
        }
        // libmicrohttpd takes none of one character.
        guard (2...70).contains(boundary.count) else {
            throw FormError(
                status: 400,
                description: "the form's boundary has \(boundary.count) characters; 2 to 70 can be read (RFC 2046 "
                    + "allows no more)")
        }
        guard boundary.allSatisfy({ $0 >= 0x20 && $0 < 0x7F && !"\";\\".utf8.contains($0) }) else {
            throw FormError(
                status: 400,
                description: "the form's boundary holds a quote, a semicolon or a character outside of ASCII; "
                    + "boundary must be the last parameter of Content-Type")
        }
    }
}

/// Gathers the pieces that the post processor gives.
private struct FormCollector {
    let limits: FormLimits
    var parts: [FormPart] = []
    var error: FormError?

    mutating func collect(
        name: UnsafePointer<CChar>?, fileName: UnsafePointer<CChar>?, contentType: UnsafePointer<CChar>?,
        piece: UnsafeRawBufferPointer, offset: UInt64
    ) throws(FormError) {
        if offset == 0 {
            guard parts.count < limits.maximumParts else {
                throw FormError(status: 413, description: "the form has more than \(limits.maximumParts) parts")
            }
            guard let name else {
                throw FormError(
                    status: 400,
                    description: "part \(parts.count + 1) of the form has no quoted name in its Content-Disposition")
            }
            let part = FormPart(
                name: String(cString: name), fileName: fileName.map { String(cString: $0) },
                contentType: contentType.map { String(cString: $0) }, bytes: [])
            guard [part.name, part.fileName, part.contentType].allSatisfy({ $0?.isStreamSafe ?? true }) else {
                throw FormError(
                    status: 400,
                    description: "part \(parts.count + 1) of the form has over 30 combining characters in a row in its "
                        + "headers")
            }
            parts.append(part)
        }
        let last = parts.count - 1
        guard last >= 0, piece.count <= limits.maximumPartBytes - parts[last].bytes.count else {
            throw FormError(
                status: 413,
                description: "part \(parts.count) of the form is larger than \(limits.maximumPartBytes) bytes")
        }
        parts[last].bytes.append(contentsOf: piece)
    }
}

private func collectFormPart(
    _ collector: UnsafeMutableRawPointer?, _ name: UnsafePointer<CChar>?, _ fileName: UnsafePointer<CChar>?,
    _ contentType: UnsafePointer<CChar>?, _ bytes: UnsafePointer<CChar>?, _ offset: UInt64, _ length: Int
) -> Int32 {
    guard let collector = collector?.assumingMemoryBound(to: FormCollector.self) else { return 0 }
    do throws(FormError) {
        try collector.pointee.collect(
            name: name, fileName: fileName, contentType: contentType,
            piece: UnsafeRawBufferPointer(start: bytes, count: length), offset: offset)
        return 1
    } catch {
        collector.pointee.error = error
        return 0
    }
}
