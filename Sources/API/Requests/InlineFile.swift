import Digests
import HTTPServer

/// A file that a JSON document holds as text: in base64, alone or in a `data:` URI (RFC 2397), as browsers' `toDataURL` and
/// `readAsDataURL` write it and as `/trajectory` answers it.
enum InlineFile {
    /// Text that holds no file.
    struct Refusal: Error, Equatable {
        /// What is said of the text, such as "is not base64: …".
        let reason: String
    }

    /// The file's bytes. A media type in a `data:` URI is passed over: bytes are looked at, types aren't believed.
    ///
    /// - Throws: ``Refusal`` for text that is no base64, saying so if it is a URL or a file's name.
    static func bytes(_ text: String) throws(Refusal) -> [UInt8] {
        var text = text
        let result = text.withUTF8 { text in Result { () throws(Refusal) in try decoded(text) } }
        return try result.get()
    }

    private static func decoded(_ text: UnsafeBufferPointer<UInt8>) throws(Refusal) -> [UInt8] {
        switch FileReference(text) {
        case .dataURI: return try data(ofURI: text)
        case let reference?: throw Refusal(reason: "\(reference.description); send the file's bytes in base64")
        case nil: return try base64(text, offset: 0)
        }
    }

    private static func data(ofURI uri: UnsafeBufferPointer<UInt8>) throws(Refusal) -> [UInt8] {
        guard let comma = uri.prefix(maximumMediaType).firstIndex(of: UInt8(ascii: ",")) else {
            throw Refusal(reason: "is a data: URI without a comma before its data")
        }
        let parameters = uri[..<comma].split(separator: UInt8(ascii: ";"), omittingEmptySubsequences: false).dropFirst()
        guard let last = parameters.last, trimmed(String(decoding: last, as: UTF8.self)).lowercased() == "base64" else {
            throw Refusal(reason: "is a data: URI without ;base64; encode its data in base64")
        }
        let data = UnsafeBufferPointer(rebasing: uri[(comma + 1)...])
        guard data.contains(UInt8(ascii: "%")) else { return try base64(data, offset: comma + 1) }
        guard let text = PercentEncoding.decode(data) else {
            throw Refusal(reason: "is a data: URI with a % that is not followed by two hexadecimal digits")
        }
        return try text.withUnsafeBufferPointer { text in
            Result { () throws(Refusal) in try base64(text, offset: 0) }
        }.get()
    }

    private static func base64(_ text: UnsafeBufferPointer<UInt8>, offset: Int) throws(Refusal) -> [UInt8] {
        do throws(Base64.DecodingFailure) {
            return try Base64.decode(text, offset: offset)
        } catch {
            throw Refusal(reason: "is not base64: \(error.reason)")
        }
    }

    /// Characters of a `data:` URI before its data.
    private static let maximumMediaType = 1024
}
