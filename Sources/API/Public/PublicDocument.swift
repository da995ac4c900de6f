import CContract
import HTTPServer

/// A document that is part of the program. It says nothing of one service, so that it needs no key.
struct PublicDocument: Sendable {
    private let mediaType: String
    private let bytes: [UInt8]

    static let contract = PublicDocument(mediaType: "application/yaml", bytes: embeddedFile(openapi_document))
    static let guide = PublicDocument(mediaType: plainText, bytes: embeddedFile(api_guide))

    private static let plainText = "text/plain; charset=utf-8"

    /// The document as its own type, or as plain text to a browser that follows a link, which would save other types to a file.
    func response(to headers: HTTPHeaders) -> Response {
        guard mediaType != Self.plainText else { return Response(headers: ["Content-Type": mediaType], body: bytes) }
        let type = headers.acceptsByName("text/html") ? Self.plainText : mediaType
        return Response(headers: ["Content-Type": type, "Vary": "Accept"], body: bytes)
    }
}
