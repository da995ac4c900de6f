/// The operations of the public listener.
enum PublicEndpoint: String, Endpoint {
    case embed, classify, trajectory, live, ready, startup, model, contract, version, playground
    case inferenceServer, inferenceLive, inferenceReady
    case inferenceModel, inferenceModelReady, infer
    case inferenceVersion, inferenceVersionReady, inferVersion
    case inferenceModelConfiguration, inferenceVersionConfiguration
    case inferenceStatistics, inferenceModelStatistics, inferenceVersionStatistics

    var method: String {
        switch self {
        case .embed, .classify, .trajectory, .infer, .inferVersion: "POST"
        case .live, .ready, .startup, .model, .contract, .version, .playground, .inferenceServer, .inferenceLive,
            .inferenceReady, .inferenceModel, .inferenceModelReady, .inferenceVersion, .inferenceVersionReady,
            .inferenceModelConfiguration, .inferenceVersionConfiguration, .inferenceStatistics,
            .inferenceModelStatistics, .inferenceVersionStatistics:
            "GET"
        }
    }

    var path: String {
        switch self {
        case .embed: "/embed"
        case .classify: "/classify"
        case .trajectory: "/trajectory"
        case .live: "/health/live"
        case .ready: "/health/ready"
        case .startup: "/health/startup"
        case .model: "/model"
        case .contract: "/openapi.yaml"
        case .version: "/version"
        case .playground: "/"
        case .inferenceServer: "/v2"
        case .inferenceLive: "/v2/health/live"
        case .inferenceReady: "/v2/health/ready"
        case .inferenceModel: "/v2/models/{model}"
        case .inferenceModelReady: "/v2/models/{model}/ready"
        case .infer: "/v2/models/{model}/infer"
        case .inferenceVersion: "/v2/models/{model}/versions/{version}"
        case .inferenceVersionReady: "/v2/models/{model}/versions/{version}/ready"
        case .inferVersion: "/v2/models/{model}/versions/{version}/infer"
        case .inferenceModelConfiguration: "/v2/models/{model}/config"
        case .inferenceVersionConfiguration: "/v2/models/{model}/versions/{version}/config"
        case .inferenceStatistics: "/v2/models/stats"
        case .inferenceModelStatistics: "/v2/models/{model}/stats"
        case .inferenceVersionStatistics: "/v2/models/{model}/versions/{version}/stats"
        }
    }

    /// The options of the query and of a form; a JSON body also has `taps`.
    var options: [RequestOptions.Name] {
        switch self {
        case .embed: [.at, .from, .taps, .normalize, .encoding]
        case .classify: [.top]
        default: []
        }
    }

    var parameters: [String] { options.filter { $0 != .taps }.map(\.rawValue) }

    var ignoresUnknownParameters: Bool {
        switch self {
        case .live, .ready, .startup, .inferenceLive, .inferenceReady, .inferenceModelReady, .inferenceVersionReady,
            .playground:
            true
        default: false
        }
    }

    var statuses: Set<Int> {
        switch self {
        case .embed, .classify, .trajectory: [200, 400, 401, 406, 413, 415, 422, 429, 500, 503, 504]
        case .infer, .inferVersion: [200, 400, 401, 404, 413, 415, 422, 429, 500, 503, 504]
        case .live, .ready, .startup, .inferenceLive, .inferenceReady: [200, 503]
        case .model: [200, 401, 429, 503]
        case .playground: [200, 404]
        case .contract, .version, .inferenceServer, .inferenceStatistics: [200, 401, 429]
        case .inferenceModel, .inferenceModelReady, .inferenceVersion, .inferenceVersionReady,
            .inferenceModelConfiguration, .inferenceVersionConfiguration, .inferenceModelStatistics,
            .inferenceVersionStatistics:
            [200, 401, 404, 429, 503]
        }
    }

    var isRoutine: Bool {
        switch self {
        case .live, .ready, .startup, .inferenceLive, .inferenceReady, .inferenceModelReady, .inferenceVersionReady:
            true
        default: false
        }
    }

    var isOpen: Bool {
        switch self {
        // The page has to be there before somebody can type a key into it; what it asks for needs one.
        case .live, .ready, .startup, .inferenceLive, .inferenceReady, .playground: true
        default: false
        }
    }

    /// The forms that results can have, the default first. The inference protocol's is negotiated by its own means.
    var formats: [ResultFormat] {
        switch self {
        case .embed: [.json, .npy]
        case .classify, .trajectory: [.json]
        default: []
        }
    }
}
