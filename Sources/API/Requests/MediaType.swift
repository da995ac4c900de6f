import HTTPServer
import ImagePipeline

/// What a body is declared to be, as far as it matters: how to take it apart. Image bytes are sniffed, never believed.
enum BodyForm: Equatable, Sendable {
    /// The body is one image, whatever it calls itself; `curl --data-binary` calls it a URL-encoded form.
    case raw
    /// `multipart/form-data`.
    case form
    /// `application/json`.
    case json

    /// Reads `Content-Type`.
    ///
    /// - Parameter types: the media types that the operation takes, which a refusal names.
    /// - Throws: 415 for other multipart types and for JSON in another charset.
    init(_ headers: HTTPHeaders, of types: [String] = ImageForm.mediaTypes) throws(Problem) {
        guard headers.values(of: "Content-Type").count <= 1 else {
            throw Problem(.malformedRequest, "there is more than one Content-Type header")
        }
        try self.init(contentType: headers["Content-Type"] ?? "", of: types)
    }

    /// Reads one value of `Content-Type`.
    ///
    /// - Throws: as `init(_:of:)`.
    init(contentType: String, of types: [String] = ImageForm.mediaTypes) throws(Problem) {
        let parts = contentType.lowercased().split(separator: ";", omittingEmptySubsequences: false)
        let type = trimmed(parts.first ?? "")
        switch type {
        case "multipart/form-data" where types.contains(type): self = .form
        case "application/json", "text/json":
            for parameter in parts.dropFirst().map(trimmed) where parameter.hasPrefix("charset=") {
                // "utf8" is a common misspelling, and ASCII is a part of UTF-8.
                let charset = parameter.dropFirst("charset=".count).filter { $0 != "\"" }
                guard ["utf-8", "utf8", "us-ascii"].contains(charset) else {
                    throw Problem(.unsupportedMediaType, "JSON must be in UTF-8; send it without another charset")
                }
            }
            self = .json
        case _ where type.hasPrefix("multipart/"):
            guard types.contains("multipart/form-data") else { throw .jsonNeeded }
            throw Problem(
                .unsupportedMediaType, "multipart/form-data is the only multipart type that is supported",
                headers: ["Accept-Post": types.joined(separator: ", ")])
        default: self = .raw
        }
    }
}

extension Problem {
    /// 415 for a body that isn't declared as JSON where only JSON is taken.
    static let jsonNeeded = Problem(
        .unsupportedMediaType, "the body must be JSON; set Content-Type: application/json",
        headers: ["Accept-Post": "application/json"])
}

/// The forms that results can have.
enum ResultFormat: String, Sendable {
    case json = "application/json"
    case npy = "application/x-npy"

    /// Chooses by `Accept` (RFC 9110, 12.5.1): the offered type of the highest weight, the earlier of equals.
    ///
    /// - Throws: 406 naming what there is.
    static func negotiated(_ headers: HTTPHeaders, offered: [ResultFormat]) throws(Problem) -> ResultFormat {
        let ranges = headers.values(of: "Accept").flatMap { $0.split(separator: ",") }.compactMap(MediaRange.init)
        guard !ranges.isEmpty else { return offered[0] }
        var best: (format: ResultFormat, quality: Double)?
        for format in offered {
            let matching = ranges.filter { $0.matches(format.rawValue) }.max { $0.precedence < $1.precedence }
            guard let quality = matching?.quality, quality > 0, quality > best?.quality ?? 0 else { continue }
            best = (format, quality)
        }
        guard let best else {
            let names = offered.map(\.rawValue).joined(separator: " or ")
            throw Problem(
                .notAcceptable, "the result is available as \(names), and the Accept header allows none of them")
        }
        return best.format
    }
}

extension HTTPHeaders {
    /// Whether `Accept` has a media type by its name, not only by a wildcard. Browsers name `text/html` where they show a page.
    func acceptsByName(_ type: String) -> Bool {
        values(of: "Accept").flatMap { $0.split(separator: ",") }.compactMap(MediaRange.init)
            .contains { $0.type == type && $0.quality > 0 }
    }
}

/// One item of an `Accept` header.
private struct MediaRange {
    let type: String
    let quality: Double

    /// Nil for an item that is not of the header's grammar, which is passed over as other servers do.
    init?(_ item: Substring) {
        let parts = item.split(separator: ";", omittingEmptySubsequences: false).map { trimmed($0).lowercased() }
        guard let first = parts.first, first.contains("/") else { return nil }
        type = first
        guard let weight = parts.dropFirst().first(where: { $0.hasPrefix("q=") }) else {
            quality = 1
            return
        }
        guard let value = Double(weight.dropFirst(2)), (0...1).contains(value) else { return nil }
        quality = value
    }

    /// An exact type goes before a wildcard.
    var precedence: Int { type == "*/*" ? 0 : type.hasSuffix("/*") ? 1 : 2 }

    func matches(_ name: String) -> Bool {
        type == name || type == "*/*" || (type.hasSuffix("/*") && name.hasPrefix(type.dropLast()))
    }
}
