import FeatureService
import HTTPServer

/// The table of the admin listener.
extension AdminAPI: EndpointAPI {
    static let endpoints: [Endpoint<AdminAPI>] =
        Endpoint.healthChecks + [
            .read("metrics", "/metrics", .monitored, statuses: [200, 401, 403, 429]) { api, _ in
                await api.exposition()
            },
            .read("version", "/version", statuses: [200, 401, 403, 429]) { api, _ in
                api.configuration.build.response(api.service.configuration.imageLimits.formats)
            },
            .read("checkpoint", "/admin/checkpoint", statuses: [200, 401, 403, 429]) { api, _ in
                await api.checkpoints.status.response(status: 200)
            },
            .command(
                "load", "/admin/checkpoint", options: ["wait"], body: .json,
                statuses: [200, 202, 400, 401, 403, 404, 409, 415, 422, 429, 507], handler: load),
            .command(
                "upload", method: "PUT", "/admin/checkpoint", options: ["wait", "sha256"], body: .checkpoint,
                statuses: [200, 202, 400, 401, 403, 409, 413, 415, 422, 429, 500, 507], handler: upload),
            .command(
                "reset", method: "DELETE", "/admin/checkpoint", options: ["wait"], body: .none,
                statuses: [200, 202, 400, 401, 403, 409, 422, 429, 507], handler: reset),
            .command(
                "rollback", "/admin/rollback", options: ["wait"], body: .none,
                statuses: [200, 202, 400, 401, 403, 409, 422, 429, 507], handler: rollback),

            // The model-repository extension of the Open Inference Protocol.
            .command(
                "repositoryIndex", "/v2/repository/index", body: .optionalJSON, errors: .openInference,
                statuses: [200, 400, 401, 403, 415, 429], handler: index),
            .command(
                "repositoryLoad", "/v2/repository/models/{model}/load", body: .optionalJSON, errors: .openInference,
                statuses: [200, 400, 401, 403, 404, 409, 415, 422, 429, 507], handler: loadModel),
            .command(
                "repositoryUnload", "/v2/repository/models/{model}/unload", body: .optionalJSON, errors: .openInference,
                statuses: [200, 400, 401, 403, 404, 409, 415, 429], handler: unloadModel),
        ]
}

/// A request that changes the service or asks about its models.
struct Command: Sendable {
    /// The parameters of the path by name.
    let path: [String: String]
    /// Whether the answer comes when the change is complete, not when it has begun.
    let waits: Bool
    /// The SHA-256 that an upload must have; nil if the query names none.
    let sha256: String?
    let client: CheckpointAttempt.Client
    let request: Request
}

enum CommandBody: Sendable {
    case none, json, optionalJSON
    /// A safetensors file, which is stored in the model directory.
    case checkpoint

    fileprivate var mediaTypes: [String] {
        switch self {
        case .none: []
        case .json, .optionalJSON: ["application/json"]
        case .checkpoint: ["application/octet-stream"]
        }
    }
}

extension Endpoint<AdminAPI> {
    fileprivate static func command(
        _ name: String, method: String = "POST", _ path: String, options: [String] = [], body: CommandBody,
        errors: ErrorFormat = .problemDetails, statuses: Set<Int>,
        handler: @escaping @Sendable (AdminAPI) -> @Sendable (Command) async throws(Problem) -> Response
    ) -> Endpoint {
        Endpoint(
            name: name, method: method, path: path, parameters: options, bodyTypes: body.mediaTypes, statuses: statuses,
            errors: errors
        ) { api, head, path throws(Problem) in
            let query = try QueryParameters(head.query, known: options)
            let (waits, sha256) = (try query.flag("wait"), query["sha256"])
            let (policy, coding) = try api.accept(body, head.headers)
            return Acceptance(body: policy, coding: coding) { request, observation throws(Problem) in
                let client = CheckpointAttempt.Client(
                    address: request.head.remoteAddress, requestID: observation.id.description)
                return try await handler(api)(
                    Command(path: path, waits: waits, sha256: sha256, client: client, request: request))
            }
        }
    }
}

extension AdminAPI {
    /// Without a token, every program on this machine may ask, and a page in a browser here must not do so for others.
    func screen(_ head: RequestHead) throws(Problem) {
        guard head.headers["Origin"] == nil else {
            throw Problem(
                .pageForbidden,
                "this endpoint refuses requests from web pages; send the request without an Origin header")
        }
    }

    /// Accepts a command's body, which `headers` announce.
    fileprivate func accept(
        _ body: CommandBody, _ headers: HTTPHeaders
    ) throws(Problem) -> (policy: BodyPolicy, coding: ContentCoding?) {
        switch body {
        case .none: return (.memory(maximumBytes: 0), nil)
        case .json, .optionalJSON:
            guard try BodyForm(headers) != .form else {
                throw Problem(
                    .unsupportedMediaType,
                    body == .json
                        ? "this endpoint takes JSON, not forms; send {\"path\": …}"
                        : "this endpoint takes JSON or an empty body, not forms")
            }
            return (.memory(maximumBytes: 64 << 10), try ContentCoding.checked(headers))
        case .checkpoint:
            guard try BodyForm(headers) == .raw else {
                throw Problem(
                    .unsupportedMediaType,
                    "this endpoint takes the bytes of a safetensors file; send them as the body, with "
                        + "Content-Type: application/octet-stream")
            }
            try ContentCoding.requireNone(headers)
            guard let directory = checkpoints.directory else { throw Problem(CheckpointRefusal.noDirectory) }
            guard !checkpoints.isLoading else { throw Problem(CheckpointRefusal.busy) }
            directory.makeStore()
            let policy = BodyPolicy.file(
                directory: directory.uploadDirectory, maximumBytes: configuration.maximumUploadBytes,
                timeout: configuration.uploadTimeout)
            return (policy, nil)
        }
    }
}
