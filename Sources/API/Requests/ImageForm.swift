import HTTPServer
import ImagePipeline

/// How a request sends images, as its head says.
enum ImageForm: Sendable {
    /// The body is one image.
    case raw(contentType: String?)
    /// `multipart/form-data` with this boundary.
    case form(FormBoundary)
    /// `application/json`.
    case json

    /// The media types that a body of images may have, as documented: further formats are only a matter of the bytes. `curl --data-binary` declares any body a URL-encoded form.
    static let mediaTypes =
        ImageFormats.standard.members.map(\.mediaType) + [
            "application/octet-stream", "application/x-www-form-urlencoded", "multipart/form-data", "application/json",
        ]

    /// Those that a body of several images may have.
    static let severalImagesTypes = ["multipart/form-data", "application/json"]

    /// Reads the rest of a `Content-Type` whose form is known.
    ///
    /// - Throws: 400 for a form whose boundary is missing or malformed.
    init(_ form: BodyForm, _ headers: HTTPHeaders) throws(Problem) {
        switch form {
        case .raw: self = .raw(contentType: headers["Content-Type"])
        case .json: self = .json
        case .form:
            do throws(FormError) {
                self = .form(try FormBoundary(contentType: headers["Content-Type"]))
            } catch {
                throw Problem(error)
            }
        }
    }
}
