import HTTPServer
import ImagePipeline

/// A request's images, still encoded, and its options.
struct PostedImages: Sendable {
    /// The images' bytes, at least one of them.
    let images: [[UInt8]]
    let options: RequestOptions

    /// Reads a body.
    ///
    /// - Parameters:
    ///   - call: what the head says.
    ///   - limit: the most bytes of a form's part.
    /// - Throws: 400, 413, 415 or 422, saying what is wrong where.
    init(_ body: [UInt8], _ call: ImageCall, maximumPartBytes limit: Int) throws(Problem) {
        var options = call.options
        switch call.form {
        case .raw(let type):
            let isURLEncoded = type?.lowercased().hasPrefix("application/x-www-form-urlencoded") ?? false
            if let mistaken = MistakenImage(body, isURLEncoded: isURLEncoded) {
                throw mistaken.problem(contentType: type)
            }
            images = body.isEmpty ? [] : [body]
        case .form(let boundary):
            let limits = FormLimits(
                maximumParts: call.maximumImages + RequestOptions.Name.allCases.count, maximumPartBytes: limit)
            let parts: [FormPart]
            do throws(FormError) {
                parts = try FormReader.parts(of: body, boundary: boundary, limits: limits)
            } catch {
                throw Problem(error)
            }
            images = try Self.images(of: parts, call, &options)
        case .json:
            let post = try JSONPost(
                body, options: &options, names: call.optionNames, minimumImages: call.minimumImages,
                maximumImages: call.maximumImages)
            images = post.images
        }
        let wanted = call.minimumImages
        guard images.count >= wanted else {
            let remedy =
                wanted == 1
                ? "send the bytes of a \(call.formats.names) file as the body" : "send \(wanted), in a form or in JSON"
            throw Problem(
                .noImages, "the request contains \(images.isEmpty ? "no" : "\(images.count)") image; \(remedy)")
        }
        self.options = options
    }

    private static func images(
        of parts: [FormPart], _ call: ImageCall, _ options: inout RequestOptions
    ) throws(Problem) -> [[UInt8]] {
        let names = call.optionNames
        var images: [[UInt8]] = []
        for part in parts {
            // A file field that the page's user left empty.
            if part.fileName == "", part.bytes.isEmpty { continue }
            if part.fileName != nil || imageFieldNames.contains(part.name) {
                guard images.count < call.maximumImages else {
                    throw .tooManyImages(call.maximumImages, needed: call.minimumImages)
                }
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

    /// 415 for the bytes of one image where several are needed.
    static func severalImagesNeeded(_ count: Int) -> Problem {
        Problem(
            .unsupportedMediaType, "the body must be a form or JSON, because it has to hold \(count) images",
            headers: ["Accept-Post": ImageForm.severalImagesTypes.joined(separator: ", ")])
    }

    static func tooManyImages(_ maximum: Int, needed minimum: Int = 1) -> Problem {
        let remedy = minimum == maximum && minimum > 1 ? "send exactly \(maximum)" : "send several requests"
        return Problem(
            .tooManyImages, "the request contains more than \(maximum) image\(maximum == 1 ? "" : "s"); \(remedy)")
    }
}
