/// The operations of the public listener.
enum PublicEndpoint: String, Endpoint {
    case embed, classify, live, ready, startup, model, contract, version

    var method: String {
        switch self {
        case .embed, .classify: "POST"
        case .live, .ready, .startup, .model, .contract, .version: "GET"
        }
    }

    var path: String {
        switch self {
        case .embed: "/embed"
        case .classify: "/classify"
        case .live: "/health/live"
        case .ready: "/health/ready"
        case .startup: "/health/startup"
        case .model: "/model"
        case .contract: "/openapi.yaml"
        case .version: "/version"
        }
    }

    /// The options of the query and of a form; a JSON body also has `taps`.
    var options: [RequestOptions.Name] {
        switch self {
        case .embed: [.at, .from, .taps, .normalize, .encoding]
        case .classify: [.top]
        case .live, .ready, .startup, .model, .contract, .version: []
        }
    }

    var parameters: [String] { options.filter { $0 != .taps }.map(\.rawValue) }

    var statuses: Set<Int> {
        switch self {
        case .embed, .classify: [200, 400, 401, 406, 413, 415, 422, 500, 503, 504]
        case .live, .ready, .startup: [200, 503]
        case .model: [200, 401, 503]
        case .contract, .version: [200, 401]
        }
    }

    var isOpen: Bool {
        switch self {
        case .live, .ready, .startup: true
        case .embed, .classify, .model, .contract, .version: false
        }
    }

    /// The forms that results can have, the default first.
    var formats: [ResultFormat] { self == .embed ? [.json, .npy] : [.json] }
}
