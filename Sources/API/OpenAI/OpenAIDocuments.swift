import FeatureService
import FoundationEssentials
import HTTPServer
import JSON

extension FeatureResults {
    /// Whether the first failure is of bytes that are no image of any kind, as those of text that happens to be base64.
    private var startsWithText: Bool {
        for case .failure(let failure) in response.results {
            guard case .image(let error) = failure else { return false }
            return error.kind == .unrecognised
        }
        return false
    }

    /// The answer to `POST /v1/embeddings`: the embeddings at the default tap, scaled to unit length as OpenAI's are.
    ///
    /// - Throws: the problem of the first image that failed, since the document has no place for it.
    func openAIEmbeddings(_ asked: OpenAIEmbeddingsRequest) throws(Problem) -> Response {
        let images: [ImageFeatures]
        do throws(Problem) {
            images = try asked.isArray ? features(called: "input") : [feature(called: "input")]
        } catch {
            let remedy = startsWithText ? "; \(OpenAIEmbeddingsRequest.remedy)" : ""
            throw Problem(error.code, error.detail + remedy).about("input")
        }
        let encoding = asked.encoding
        var json = JSONWriter(capacity: 1024 + encoding.bytesPerNumber * numberCount)
        do {
            try json.object { json in
                json.member("object", "list")
                try json.array("data", of: images.enumerated()) { json, image in
                    try json.object { json in
                        json.member("object", "embedding")
                        json.member("index", image.offset)
                        try json.member(embedding: image.element.values[0].scaledToUnitLength(), encoding)
                    }
                }
                json.member("model", response.served.version.name)
                json.object("usage") { json in
                    json.member("prompt_tokens", 0)
                    json.member("total_tokens", 0)
                    json.member("images", images.count)
                }
            }
        } catch {
            throw .notFiniteResult
        }
        return respond(.json, json.bytes)
    }
}

/// The serving model as OpenAI's clients see it: under its own name and under each alias.
struct OpenAIModels: Sendable {
    /// The model's own name, then the aliases, each once.
    let names: [String]
    /// When the model was activated, in seconds since 1970.
    let created: Int

    init(_ version: ModelVersion, since: Date, aliases: [String]) {
        names = aliases.reduce(into: [version.name]) { names, alias in
            if !names.contains(alias) { names.append(alias) }
        }
        created = Int(since.timeIntervalSince1970)
    }

    /// The answer to `GET /v1/models`.
    var list: Response {
        .json { json in
            json.member("object", "list")
            json.array("data", of: names) { json, name in json.object { write(name, members: &$0) } }
        }
    }

    /// The answer to `GET /v1/models/{model}`.
    func description(of name: String) -> Response { .json { write(name, members: &$0) } }

    private func write(_ name: String, members json: inout JSONWriter) {
        json.member("id", name)
        json.member("object", "model")
        json.member("created", created)
        json.member("owned_by", "headwater")
    }
}

extension Problem {
    /// Writes OpenAI's error document, which its clients turn into exceptions by the status.
    func writeForOpenAI(_ json: inout JSONWriter) {
        json.object { json in
            json.object("error") { json in
                json.member("message", detail)
                json.member("type", code.openAIType)
                if let parameter { json.member("param", parameter) } else { json.null("param") }
                json.member("code", code.rawValue)
            }
        }
    }
}

extension ProblemCode {
    /// What OpenAI calls the kind of error.
    fileprivate var openAIType: String {
        switch status {
        case 401: "authentication_error"
        case 429: "rate_limit_error"
        case 500...: "server_error"
        default: "invalid_request_error"
        }
    }
}
