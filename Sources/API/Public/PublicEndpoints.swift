import HTTPServer

/// The table of the public listener.
extension PublicAPI: EndpointAPI {
    static let endpoints: [Endpoint<PublicAPI>] =
        features + Endpoint.healthChecks + descriptions + inference + inferenceHealthChecks + inferenceDescriptions

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
    ]

    private static let descriptions: [Endpoint<PublicAPI>] = [
        .read("model", "/model", statuses: [200, 401, 429, 503]) { api, _ throws(Problem) in
            try await api.describeModel()
        },
        .read("contract", "/openapi.yaml", statuses: [200, 401, 429]) { _, _ in contract },
        .read("version", "/version", statuses: [200, 401, 429]) { api, _ in api.configuration.build.response },
        // Users type their key into the page; its own requests need one.
        .read("playground", "/", [.open, .ignoresUnknownParameters], statuses: [200, 404]) { api, _ throws(Problem) in
            try api.playground()
        },
    ]

    // MARK: Open Inference Protocol

    private static let inference: [Endpoint<PublicAPI>] = [
        .inference(
            "infer", "/v2/models/{model}/infer",
            statuses: [200, 400, 401, 404, 413, 415, 422, 429, 500, 503, 504], handler: infer),
        .inference(
            "inferVersion", "/v2/models/{model}/versions/{version}/infer",
            statuses: [200, 400, 401, 404, 413, 415, 422, 429, 500, 503, 504], handler: infer),
    ]

    private static let inferenceHealthChecks: [Endpoint<PublicAPI>] = [
        .health("inferenceLive", "/v2/health/live", .live, errors: .openInference),
        .health("inferenceReady", "/v2/health/ready", .ready, errors: .openInference),
        .ofModel("inferenceModelReady", "/v2/models/{model}/ready", .monitored, answer: readiness),
        .ofModel(
            "inferenceVersionReady", "/v2/models/{model}/versions/{version}/ready", .monitored, answer: readiness),
    ]

    private static let inferenceDescriptions: [Endpoint<PublicAPI>] = [
        .read("inferenceServer", "/v2", errors: .openInference, statuses: [200, 401, 429]) { api, _ in
            InferenceDescription.server(version: api.configuration.build.version)
        },
        .ofModel("inferenceModel", "/v2/models/{model}") { _ in InferenceDescription.model },
        .ofModel("inferenceVersion", "/v2/models/{model}/versions/{version}") { _ in InferenceDescription.model },
        .ofModel("inferenceModelConfiguration", "/v2/models/{model}/config", answer: inferenceConfiguration),
        .ofModel(
            "inferenceVersionConfiguration", "/v2/models/{model}/versions/{version}/config",
            answer: inferenceConfiguration),
        .read("inferenceStatistics", "/v2/models/stats", errors: .openInference, statuses: [200, 401, 429]) { api, _ in
            api.statistics(of: await api.service.active.map { [$0] } ?? [])
        },
        .ofModel("inferenceModelStatistics", "/v2/models/{model}/stats") { api in { api.statistics(of: [$0]) } },
        .ofModel("inferenceVersionStatistics", "/v2/models/{model}/versions/{version}/stats") { api in
            { api.statistics(of: [$0]) }
        },
    ]
}
