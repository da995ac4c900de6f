/// The table of the public listener.
extension PublicAPI: EndpointAPI {
    static let endpoints: [Endpoint<PublicAPI>] =
        features + Endpoint.healthChecks + descriptions + openAI + inferenceServer
        + inference(of: "Model", at: "/v2/models/{model}", called: "infer")
        + inference(of: "Version", at: "/v2/models/{model}/versions/{version}", called: "inferVersion")

    private static let features: [Endpoint<PublicAPI>] = [
        .images(
            "embed", "/embed", options: [.at, .from, .taps, .normalize, .encoding], results: [.json, .npy],
            statuses: [200, 400, 401, 406, 413, 415, 422, 429, 500, 503, 504], handler: embed),
        .images(
            "classify", "/classify", options: [.top], results: [.json],
            statuses: [200, 400, 401, 406, 413, 415, 422, 429, 500, 503, 504], handler: classify),
        .images(
            "trajectory", "/trajectory", atMost: 1, results: [.json],
            statuses: [200, 400, 401, 406, 413, 415, 422, 429, 500, 503, 504], handler: trajectory),
        .images(
            "interpolate", "/interpolate", [.makesImages], options: [.steps], atLeast: 2, atMost: 2, results: [.json],
            statuses: [200, 400, 401, 404, 406, 413, 415, 422, 429, 500, 503, 504], handler: interpolate),
        .generation(
            "sample", "/sample", [.makesImages], options: [.count, .seed], results: [.json],
            statuses: [200, 400, 401, 404, 406, 413, 415, 422, 429, 500, 503, 504], handler: sample),
    ]

    private static let descriptions: [Endpoint<PublicAPI>] = [
        .read("model", "/model", statuses: [200, 401, 429, 503]) { api, _ throws(Problem) in
            try await api.describeModel()
        },
        .document("contract", "/openapi.yaml", .contract),
        .document("guide", "/api.md", .guide),
        .read("version", "/version", statuses: [200, 401, 429]) { api, _ in api.configuration.build.response },
        // Users type their key into the page; its own requests need one.
        .read("playground", "/", [.open, .ignoresUnknownParameters], statuses: [200, 404]) { api, _ throws(Problem) in
            try api.playground()
        },
    ]

    // MARK: OpenAI's API

    private static let openAI: [Endpoint<PublicAPI>] = [
        .json(
            "openAIEmbeddings", "/v1/embeddings", errors: .openAI,
            statuses: [200, 400, 401, 404, 413, 415, 422, 429, 500, 503, 504], handler: openAIEmbeddings),
        .read("openAIModels", "/v1/models", errors: .openAI, statuses: [200, 401, 429, 503]) {
            api, _ throws(Problem) in
            try await api.openAIModels()
        },
        .read("openAIModel", "/v1/models/{model}", errors: .openAI, statuses: [200, 401, 404, 429, 503]) {
            api, path throws(Problem) in
            try await api.openAIModel(path["model"]!)
        },
    ]

    // MARK: Open Inference Protocol

    private static let inferenceServer: [Endpoint<PublicAPI>] = [
        .health("inferenceLive", "/v2/health/live", .live, errors: .openInference),
        .health("inferenceReady", "/v2/health/ready", .ready, errors: .openInference),
        .read("inferenceServer", "/v2", errors: .openInference, statuses: [200, 401, 429]) { api, _ in
            InferenceDescription.server(version: api.configuration.build.version)
        },
        .read("inferenceStatistics", "/v2/models/stats", errors: .openInference, statuses: [200, 401, 429]) { api, _ in
            api.statistics(of: await api.service.active.map { [$0] } ?? [])
        },
    ]

    /// What there is of a model, no matter which version of it serves, and again of a version that the path names.
    private static func inference(of scope: String, at path: String, called infer: String) -> [Endpoint<PublicAPI>] {
        [
            .inference(
                infer, path + "/infer", statuses: [200, 400, 401, 404, 413, 415, 422, 429, 500, 503, 504],
                handler: PublicAPI.infer),
            .ofModel("inference\(scope)", path) { _ in InferenceDescription.model },
            .ofModel("inference\(scope)Ready", path + "/ready", .monitored, answer: readiness),
            .ofModel("inference\(scope)Configuration", path + "/config", answer: inferenceConfiguration),
            .ofModel("inference\(scope)Statistics", path + "/stats") { api in { api.statistics(of: [$0]) } },
        ]
    }
}
