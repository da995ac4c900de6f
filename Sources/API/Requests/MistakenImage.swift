import Digests
import ImagePipeline
import UntrustedText

/// Bytes that were sent as an image and are evidently something else, as clients send by mistake. The decoder would only say
/// that they aren't an image; these errors say what to do instead.
enum MistakenImage: Equatable {
    /// An image file that has lost its line breaks and zero bytes: `curl -d @FILE` strips them.
    case stripped
    case json
    /// A form whose Content-Type doesn't say so.
    case form
    case urlEncodedForm
    case base64
    case reference(FileReference)

    /// Looks at the first bytes, and at more only if they are text.
    ///
    /// - Parameter isURLEncoded: whether the Content-Type is that of a URL-encoded form, which `curl -d` and
    ///   `--data-binary` send for any body.
    init?(_ bytes: [UInt8], isURLEncoded: Bool) {
        if Self.recognizable.contains(where: { bytes.starts(with: $0.start) }) {
            // A whole file has such bytes within its first ten.
            guard bytes.count > 64, !bytes.contains(where: { $0 == 0 || $0 == 0x0A || $0 == 0x0D }) else { return nil }
            self = .stripped
            return
        }
        let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
        let text = bytes[(bytes.starts(with: mark) ? mark.count : 0)...].drop {
            $0 == 0x20 || (0x09...0x0D).contains($0)
        }
        let start = text.prefix(Self.inspected)
        guard start.allSatisfy({ $0 >= 0x20 || (0x09...0x0D).contains($0) }) else { return nil }
        if start.first == UInt8(ascii: "{") || start.first == UInt8(ascii: "[") {
            self = .json
        } else if start.starts(with: "--".utf8), start.firstRange(of: Array("form-data".utf8)) != nil {
            self = .form
        } else if Self.recognizable.contains(where: { start.starts(with: Self.base64(ofStart: $0)) }) {
            self = .base64
        } else if isURLEncoded, Self.isPair(start) {
            self = .urlEncodedForm
        } else if let reference = FileReference(text), text.count <= Self.longestReference || reference == .dataURI {
            self = .reference(reference)
        } else {
            return nil
        }
    }

    /// Whether text begins with a field of a URL-encoded form: a name, = and a value. Base64 may end with = or two.
    private static func isPair(_ text: ArraySlice<UInt8>) -> Bool {
        let name = text.prefix(64).prefix { byte in
            byte != UInt8(ascii: "=") && byte > 0x20 && byte != UInt8(ascii: ":") && byte != UInt8(ascii: "/")
        }
        let rest = text.dropFirst(name.count)
        return !name.isEmpty && rest.first == UInt8(ascii: "=")
            && rest.dropFirst().first.map { $0 > 0x20 && $0 != UInt8(ascii: "=") } ?? false
    }

    /// The formats whose files begin as no text does.
    private static let recognizable = ImageFormats.all.members.filter { !$0.start.isEmpty }

    /// How every file of a format begins in base64: the characters that its first bytes decide.
    private static func base64(ofStart format: ImageFormat) -> ArraySlice<UInt8> {
        Base64.encode(format.start).prefix(format.start.count * 8 / 6)
    }

    /// How many bytes of the start are examined.
    private static let inspected = 512
    /// Longer text is neither a URL nor a file's name.
    private static let longestReference = 4096
}

extension MistakenImage {
    /// The problem if this is a whole body.
    ///
    /// - Parameter contentType: what the body is declared to be.
    func problem(contentType: String?) -> Problem {
        let declared = contentType.map { "its Content-Type is \(shown($0, atMost: 60))" } ?? "it has no Content-Type"
        switch self {
        case .stripped:
            return Problem(
                .unprocessableImage,
                "the file has lost its line breaks and zero bytes, which curl -d @FILE strips; "
                    + "use curl --data-binary @FILE"
            )
        case .json:
            return Problem(
                .unsupportedMediaType,
                "the body is JSON, but \(declared); set Content-Type: application/json, as curl --json does")
        case .form:
            return Problem(
                .unsupportedMediaType,
                "the body is a form, but \(declared); let the HTTP client set Content-Type: multipart/form-data; boundary=…"
            )
        case .urlEncodedForm:
            return Problem(
                .unsupportedMediaType,
                "the body is a URL-encoded form, which can't hold a file; send multipart/form-data, as curl -F image=@FILE "
                    + "does, or the file alone, as curl --data-binary @FILE does")
        case .base64, .reference(.dataURI):
            return Problem(
                .unsupportedImage,
                "the body \(description); send the file's bytes as they are, or as JSON: {\"images\": [\"…\"]}")
        case .reference(.url):
            return Problem(.unsupportedImage, "the body \(description); send the file's bytes")
        case .reference(.fileName):
            return Problem(
                .unsupportedImage,
                "the body \(description); send the file's bytes: curl wants an @ before the name, as in --data-binary @FILE"
            )
        }
    }

    /// The problem if this is the content of a form's field without a file name; nil if the decoder's error says as much.
    func problem(field: String) -> Problem? {
        switch self {
        case .stripped, .json, .form, .urlEncodedForm: nil
        case .base64, .reference:
            Problem(
                .unsupportedImage,
                "the form's field \(field) \(description); send a file in it: curl wants an @ before the name, as in "
                    + "-F \(field)=@FILE, and a browser's FormData wants a Blob")
        }
    }

    /// The problem if the inference protocol expects a file's bytes here; nil if the decoder's error says as much.
    ///
    /// - Parameter place: what the error calls it, such as "image[0]".
    func problem(inferenceInput place: String) -> Problem? {
        switch self {
        case .stripped: problem(contentType: nil)
        case .base64, .reference:
            Problem(.unsupportedImage, "\(place) \(description); send the file's bytes as they are")
        case .json, .form, .urlEncodedForm: nil
        }
    }

    /// What is said of text that stands for a file.
    private var description: String {
        if case .reference(let reference) = self { reference.description } else { "is base64" }
    }
}
