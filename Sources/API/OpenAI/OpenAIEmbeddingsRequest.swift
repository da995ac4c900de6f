import JSON

/// The body of `POST /v1/embeddings`, as OpenAI's clients write it and as services that embed images extend it:
///
///     {"input": ["data:image/jpeg;base64,…", {"image": "<base64>"}], "model": "…", "encoding_format": "base64", …}
///
/// `input` may also be one image alone. A member that is null counts as absent.
struct OpenAIEmbeddingsRequest: Sendable {
    /// The images' bytes, at least one of them.
    private(set) var images: [[UInt8]] = []
    /// Whether the images are in an array, so that errors name an element of it.
    private(set) var isArray = false
    /// The name of the model that is to answer; nil for the one that serves.
    private(set) var model: String?
    private(set) var encoding = VectorEncoding.float
    /// The length that embeddings must have; nil for the model's own.
    private(set) var dimensions: Int?
    private let maximumImages: Int

    private enum Member: String, CaseIterable {
        case input, model, dimensions, user, modality
        case encodingFormat = "encoding_format"
    }

    /// Reads a document.
    ///
    /// - Throws: 400 with the member that is at fault, 413 for too many images, 422 for none.
    init(_ bytes: [UInt8], maximumImages: Int) throws(Problem) {
        self.maximumImages = maximumImages
        var hasInput = false
        try scanJSON(bytes[...]) { scanner in
            try scanner.object(of: "member") { (scanner, member: Member) in
                if member == .input { hasInput = true }
                do {
                    try read(member, &scanner)
                } catch let error as JSONError {
                    throw Problem(.malformedBody, error.description).about(member.rawValue)
                } catch let problem as Problem {
                    throw problem.about(member.rawValue)
                }
            }
        }
        guard hasInput else { throw Problem(.malformedBody, "input is missing; \(Self.remedy)").about("input") }
        guard !images.isEmpty else { throw Problem(.noImages, "input is empty; \(Self.remedy)").about("input") }
    }

    private mutating func read(_ member: Member, _ scanner: inout JSONReader) throws {
        switch member {
        case .input: try readInput(&scanner)
        case .model: model = try scanner.string()
        case .encodingFormat:
            let names = RequestOptions.names(of: VectorEncoding.self)
            guard let encoding = VectorEncoding(rawValue: try scanner.string("a string, \(names)")) else {
                throw Problem(.invalidParameter, "encoding_format must be \(names)")
            }
            self.encoding = encoding
        case .dimensions:
            // infinity's client sends 0 for the model's own.
            let length = try scanner.natural()
            dimensions = length == 0 ? nil : length
        // It identifies OpenAI's end users to OpenAI.
        case .user: _ = try scanner.string()
        case .modality:
            guard try scanner.string(#"the string "image""#) == "image" else {
                throw Problem(.invalidParameter, #"modality must be "image"; \#(Self.remedy)"#)
            }
        }
    }

    private mutating func readInput(_ scanner: inout JSONReader) throws {
        guard scanner.nextCharacter == "[" else {
            images = [try Self.image(&scanner)]
            return
        }
        isArray = true
        try scanner.array { scanner in
            guard images.count < maximumImages else { throw Problem.tooManyImages(maximumImages) }
            images.append(try Self.image(&scanner))
        }
    }

    private static func image(_ scanner: inout JSONReader) throws -> [UInt8] {
        guard scanner.nextCharacter == "{" else { return try file(&scanner) }
        var image: [UInt8]?
        try scanner.object { scanner, member in
            switch member {
            case "image": image = try file(&scanner)
            case "text": throw scanner.invalid("is text; \(remedy)")
            default: throw Problem.unknown("member of an image", member, known: ["image"])
            }
        }
        guard let image else { throw scanner.invalid("has no member image") }
        return image
    }

    private static func file(_ scanner: inout JSONReader) throws -> [UInt8] {
        guard scanner.nextCharacter == "\"" else {
            throw scanner.mismatch(
                "an image, as a data: URI or as the base64 of its file, since the model embeds images, not text or tokens"
            )
        }
        let text = try scanner.string()
        do throws(InlineFile.Refusal) {
            return try InlineFile.bytes(text)
        } catch {
            // What is said of a URL or a file's name says what to send.
            let isReference = FileReference(Array(text.utf8)) != nil
            throw scanner.invalid(error.reason + (isReference ? "" : "; \(remedy)"))
        }
    }

    /// What to do about input that isn't an image.
    static let remedy =
        "the model embeds images, not text or tokens; send each image as a data: URI or as the base64 of its file"
}
