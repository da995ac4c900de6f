import FeatureService
import HTTPServer
import UntrustedText

/// The operations of OpenAI's API.
extension PublicAPI {
    /// `POST /v1/embeddings`.
    func openAIEmbeddings(
        _ request: Request, _ deadline: RequestDeadline, _ observation: inout RequestObservation
    ) async throws(Problem) -> Response {
        let asked = try await workers.run { [limit = configuration.maximumImages] () throws(Problem) in
            try OpenAIEmbeddingsRequest(request.bytes, maximumImages: limit)
        }
        while true {
            var wanted = FeatureRequest(.modelDefault)
            wanted.model = try await requirement(of: asked)
            wanted.deadline = deadline.instant()
            wanted.memory = request.memory()
            let results: FeatureResults
            do throws(Problem) {
                results = try await features(asked.images.map { .encoded($0) }, wanted, &observation)
            } catch  where error.code == .modelNotFound {
                // The model has changed since it was looked at.
                continue
            }
            return try await written(results) { () throws(Problem) in
                try results.openAIEmbeddings(asked)
            }
        }
    }

    /// The serving version, if it is what the request asks for.
    ///
    /// - Throws: 404 for another model, 400 for other dimensions, 503 while no model is loaded.
    private func requirement(of asked: OpenAIEmbeddingsRequest) async throws(Problem) -> ModelRequirement {
        let (served, models) = try await openAIServing()
        if let model = asked.model { try models.require(model) }
        if let dimensions = asked.dimensions {
            let dimension: Int
            do {
                dimension = try served.model.defaultTap().dimension
            } catch {
                throw Problem(.internalError, "the default tap can't be read: \(error)")
            }
            guard dimensions == dimension else {
                throw Problem(
                    .invalidParameter,
                    "dimensions is \(dimensions), and the model's embeddings have \(dimension) numbers; give \(dimension) "
                        + "or leave dimensions out"
                ).about("dimensions")
            }
        }
        return ModelRequirement(name: served.version.name, version: served.version.sha256)
    }

    /// `GET /v1/models`.
    func openAIModels() async throws(Problem) -> Response { try await openAIServing().models.list }

    /// `GET /v1/models/{model}`.
    ///
    /// - Parameter name: the path's segment, in which a slash is `%2F`.
    func openAIModel(_ name: String) async throws(Problem) -> Response {
        let models = try await openAIServing().models
        let name = name.replacing("%2F", with: "/")
        try models.require(name)
        return models.description(of: name)
    }

    private func openAIServing() async throws(Problem) -> (model: ServedModel, models: OpenAIModels) {
        guard let (model, since) = await service.serving else { throw .starting }
        return (model, OpenAIModels(model.version, since: since, aliases: configuration.modelAliases))
    }
}

extension OpenAIModels {
    /// Checks that a name is the model's own or an alias.
    ///
    /// - Throws: 404.
    fileprivate func require(_ name: String) throws(Problem) {
        guard !names.contains(name) else { return }
        throw Problem(
            .modelNotFound,
            "the model \"\(shown(name, atMost: 80))\" isn't served here; the serving model is "
                + names.map { "\"\($0)\"" }.joined(separator: ", also called ")
        ).about("model")
    }
}
