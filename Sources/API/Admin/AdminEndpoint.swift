/// The operations of the admin listener.
enum AdminEndpoint: String, Endpoint {
    case metrics, version, checkpoint, load, upload, rollback, live, ready, startup
    case repositoryIndex, repositoryLoad, repositoryUnload

    var method: String {
        switch self {
        case .metrics, .version, .checkpoint, .live, .ready, .startup: "GET"
        case .load, .rollback, .repositoryIndex, .repositoryLoad, .repositoryUnload: "POST"
        case .upload: "PUT"
        }
    }

    var path: String {
        switch self {
        case .metrics: "/metrics"
        case .version: "/version"
        case .checkpoint, .load, .upload: "/admin/checkpoint"
        case .rollback: "/admin/rollback"
        case .live: "/health/live"
        case .ready: "/health/ready"
        case .startup: "/health/startup"
        case .repositoryIndex: "/v2/repository/index"
        case .repositoryLoad: "/v2/repository/models/{model}/load"
        case .repositoryUnload: "/v2/repository/models/{model}/unload"
        }
    }

    var parameters: [String] {
        switch self {
        case .load, .rollback: ["wait"]
        case .upload: ["wait", "sha256"]
        default: []
        }
    }

    var ignoresUnknownParameters: Bool {
        switch self {
        case .live, .ready, .startup, .metrics: true
        default: false
        }
    }

    var statuses: Set<Int> {
        switch self {
        case .metrics, .version, .checkpoint: [200, 401, 403, 429]
        case .load: [200, 202, 400, 401, 403, 404, 409, 415, 422, 429, 507]
        case .upload: [200, 202, 400, 401, 403, 409, 413, 415, 422, 429, 500, 507]
        case .rollback: [200, 202, 400, 401, 403, 409, 422, 429, 507]
        case .repositoryIndex: [200, 400, 401, 403, 415, 429]
        case .repositoryLoad: [200, 400, 401, 403, 404, 409, 415, 422, 429, 507]
        case .repositoryUnload: [200, 400, 401, 403, 404, 409, 415, 429]
        case .live, .ready, .startup: [200, 503]
        }
    }

    var isRoutine: Bool {
        switch self {
        case .metrics, .live, .ready, .startup: true
        default: false
        }
    }

    var isOpen: Bool {
        switch self {
        case .live, .ready, .startup: true
        default: false
        }
    }
}
