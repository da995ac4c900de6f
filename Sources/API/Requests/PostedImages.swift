import HTTPServer
import UntrustedText

/// What a request may hold.
struct PostLimits: Sendable {
    /// Images in a request.
    var maximumImages: Int
    /// Bytes of a body.
    let maximumBodyBytes: Int
}

/// A request taken apart: its images, still encoded, and its options.
struct PostedImages: Sendable {
    /// The images' bytes, at least one of them.
    let images: [[UInt8]]
    /// The options of query and body together.
    let options: RequestOptions

    /// Reads a request's query and body.
    ///
    /// - Parameter names: the options that the operation knows.
    /// - Throws: 400, 413, 415 or 422, saying what is wrong where.
    init(_ request: Request, options names: [RequestOptions.Name], limits: PostLimits) throws(Problem) {
        var options = try RequestOptions(request.head.query, names: names)
        switch try BodyForm(request.head.headers) {
        case .raw:
            let type = request.head.headers["Content-Type"]
            let isURLEncoded = type?.lowercased().hasPrefix("application/x-www-form-urlencoded") ?? false
            if let mistaken = MistakenImage(request.bytes, isURLEncoded: isURLEncoded) {
                throw mistaken.problem(contentType: type)
            }
            images = request.bytes.isEmpty ? [] : [request.bytes]
        case .form: images = try Self.images(ofForm: request, &options, names, limits)
        case .json:
            images = try JSONPost(request.bytes, options: &options, names: names, maximumImages: limits.maximumImages)
                .images
        }
        guard !images.isEmpty else {
            throw Problem(.noImages, "the request contains no image; send the bytes of a JPEG or PNG file as the body")
        }
        self.options = options
    }

    private static func images(
        ofForm request: Request, _ options: inout RequestOptions, _ names: [RequestOptions.Name], _ limits: PostLimits
    ) throws(Problem) -> [[UInt8]] {
        let parts: [FormPart]
        do throws(FormError) {
            parts = try request.parts(
                limits: FormLimits(
                    maximumParts: limits.maximumImages + RequestOptions.Name.allCases.count,
                    maximumPartBytes: limits.maximumBodyBytes))
        } catch {
            throw Problem(error)
        }
        var images: [[UInt8]] = []
        for part in parts {
            // A file field that the page's user left empty.
            if part.fileName == "", part.bytes.isEmpty { continue }
            if part.fileName != nil || imageFieldNames.contains(part.name) {
                guard images.count < limits.maximumImages else { throw .tooManyImages(limits.maximumImages) }
                if part.fileName == nil,
                    let problem = MistakenImage(part.bytes, isURLEncoded: false)?.problem(field: part.name)
                {
                    throw problem
                }
                images.append(part.bytes)
            } else if let name = names.first(where: { $0.rawValue == part.name }) {
                guard part.bytes.count <= 4096, let text = String(streamSafe: part.bytes) else {
                    throw Problem(.malformedBody, "the form's field \(part.name) is not short UTF-8 text")
                }
                try options.set(name, to: trimmed(text))
            } else {
                throw .unknown(
                    "form field", part.name, known: names.map(\.rawValue).filter { $0 != "taps" } + imageFieldNames)
            }
        }
        return images
    }

    /// Fields that hold images even where the client sends no file name with them, as `curl -F 'image=<a.jpg'` does.
    private static let imageFieldNames = ["image", "images"]
}

extension RequestOptions {
    /// The options of a query.
    ///
    /// - Throws: 400.
    init(_ query: [QueryItem], names: [Name]) throws(Problem) {
        let names = names.filter { $0 != .taps }
        let parameters = try QueryParameters(query, known: names.map(\.rawValue))
        self.init()
        for name in names {
            if let text = parameters[name.rawValue] { try set(name, to: text) }
        }
    }
}

extension Problem {
    init(_ error: FormError) {
        let code: ProblemCode =
            switch error.status {
            case 413: .bodyTooLarge
            case 415: .unsupportedMediaType
            default: .malformedBody
            }
        self.init(code, error.description)
    }

    static func tooManyImages(_ maximum: Int) -> Problem {
        Problem(
            .tooManyImages,
            "the request contains more than \(maximum) image\(maximum == 1 ? "" : "s"); send several requests")
    }
}
