public import FeatureService
public import HTTPServer
public import Telemetry

/// What the admin API grants.
public struct AdminAPIConfiguration: Sendable {
    /// The bearer token that opens everything but health checks; nil opens it to whoever reaches the listener, which
    /// must then be loopback.
    public var token: String?
    var wrongKeys = AuthenticationLimit.Allowance()
    /// Largest checkpoint in bytes that may be uploaded.
    public var maximumUploadBytes = 8 << 30
    /// The time that an upload may take.
    public var uploadTimeout: Duration = .seconds(3600)

    /// Which requests are logged.
    public var accessLog = AccessLog.all
    /// What `GET /version` names.
    public var build: BuildInformation

    /// The defaults, without a token.
    public init(build: BuildInformation) { self.build = build }
}

/// The operator's routes, for a listener of their own: metrics, and changing the checkpoint while requests are served.
public final class AdminAPI: Sendable {
    private let service: FeatureService
    let checkpoints: CheckpointManager
    /// Without the token, of which the gateway has the digest.
    let configuration: AdminAPIConfiguration
    private let metrics: ServiceMetrics
    private let logger: Logger
    private let gateway: Gateway<AdminEndpoint>
    /// Looks through the model directory.
    let readers = DecodePool(width: 1)

    /// Makes the API of a service whose checkpoints `checkpoints` manages.
    public init(
        service: FeatureService, checkpoints: CheckpointManager, configuration: AdminAPIConfiguration,
        metrics: ServiceMetrics, logger: Logger
    ) {
        self.service = service
        self.checkpoints = checkpoints
        self.metrics = metrics
        self.logger = logger
        gateway = Gateway(
            keys: configuration.token.map { [$0] }, wrongKeys: configuration.wrongKeys,
            ledger: RequestLedger(
                of: .admin, metrics: metrics, logger: logger, accessLog: configuration.accessLog))
        var keyless = configuration
        keyless.token = nil
        self.configuration = keyless
    }

    /// A server of this API, to be started.
    ///
    /// - Throws: `ServerError` if the configuration makes no sense.
    public func server(_ configuration: ServerConfiguration) throws(ServerError) -> Server {
        let server = try Server(
            configuration: configuration, handler: { await self.respond(to: $0) },
            bodyPolicy: { self.bodyPolicy($0) }, transportError: { self.gateway.response(to: $0) },
            observe: { self.gateway.ledger.close($0) },
            log: { self.logger.warning("admin http server", ["detail": .string($0)]) })
        gateway.ledger.watch(server)
        return server
    }

    /// Has another token let requests in, from the next request on. Only for an API that was made with a token.
    ///
    /// - Returns: whether it is another than before.
    @discardableResult
    public func replaceToken(_ token: String) -> Bool { gateway.replace(keys: [token]) }

    private func bodyPolicy(_ head: RequestHead) -> BodyPolicy {
        gateway.bodyPolicy(head) { endpoint throws(Problem) in
            // Without a token, whoever is on this machine may ask, and a page in a browser here must not do so for others.
            guard endpoint.isOpen || head.headers["Origin"] == nil else {
                throw Problem(
                    .pageForbidden,
                    "this endpoint refuses requests from web pages; send the request without an Origin header")
            }
            let query = try QueryParameters(head.query, of: endpoint)
            switch endpoint {
            case .metrics, .version, .checkpoint, .live, .ready, .startup, .rollback:
                _ = endpoint == .rollback ? try query.flag("wait") : false
                return .memory(maximumBytes: 0)
            case .load:
                _ = try query.flag("wait")
                guard try BodyForm(head.headers) != .form else {
                    throw Problem(.unsupportedMediaType, "this endpoint takes JSON, not forms; send {\"path\": …}")
                }
                _ = try ContentCoding.checked(head.headers)
                return .memory(maximumBytes: 64 << 10)
            case .repositoryIndex, .repositoryLoad, .repositoryUnload:
                guard try BodyForm(head.headers) != .form else {
                    throw Problem(.unsupportedMediaType, "this endpoint takes JSON or an empty body, not forms")
                }
                _ = try ContentCoding.checked(head.headers)
                return .memory(maximumBytes: 64 << 10)
            case .upload:
                _ = try query.flag("wait")
                guard try BodyForm(head.headers) == .raw else {
                    throw Problem(
                        .unsupportedMediaType,
                        "this endpoint takes the bytes of a safetensors file; send them as the body, with "
                            + "Content-Type: application/octet-stream")
                }
                try ContentCoding.requireNone(head.headers)
                guard let directory = checkpoints.directory else { throw Problem(CheckpointRefusal.noDirectory) }
                guard !checkpoints.isLoading else { throw Problem(CheckpointRefusal.busy) }
                directory.makeStore()
                return .file(
                    directory: directory.uploadDirectory, maximumBytes: configuration.maximumUploadBytes,
                    timeout: configuration.uploadTimeout)
            }
        }
    }

    private func respond(to request: Request) async -> Response {
        await gateway.respond(to: request) { request, route, account async throws(Problem) in
            let client = CheckpointAttempt.Client(
                address: request.head.remoteAddress, requestID: account.id.description)
            return switch route.operation {
            case .metrics: await exposition()
            case .version: configuration.build.response
            case .checkpoint: await checkpoints.status.response(status: 200)
            case .load: try await load(request, client)
            case .upload: try await upload(request, client)
            case .rollback: try await rollback(request, client)
            case .repositoryIndex: try await index(request)
            case .repositoryLoad: try await loadModel(request, name: route["model"], client)
            case .repositoryUnload: try await unloadModel(request, name: route["model"])
            case .live: try HealthCheck.live.response(await service.status())
            case .ready: try HealthCheck.ready.response(await service.status())
            case .startup: try HealthCheck.startup.response(await service.status())
            }
        }
    }

    private func exposition() async -> Response {
        let text = metrics.exposition(await service.status(), served: await service.active?.version)
        return Response(headers: ["Content-Type": MetricsRegistry.contentType], body: Array(text.utf8))
    }

    private func load(_ request: Request, _ client: CheckpointAttempt.Client) async throws(Problem) -> Response {
        let post = try LoadPost(request.bytes)
        return try await complete(request, .load, client) { () async throws(CheckpointRefusal) in
            try await checkpoints.load(path: post.path, sha256: post.sha256, for: client)
        }
    }

    private func upload(_ request: Request, _ client: CheckpointAttempt.Client) async throws(Problem) -> Response {
        guard case .file(let path, let byteCount) = request.body, byteCount > 0 else {
            throw Problem(.checkpointRejected, "the body is empty; send the bytes of a safetensors file")
        }
        let query = try QueryParameters(request.head.query, known: AdminEndpoint.upload.parameters)
        return try await complete(request, .upload, client) { () async throws(CheckpointRefusal) in
            try await checkpoints.load(upload: path, sha256: query["sha256"], for: client)
        }
    }

    private func rollback(_ request: Request, _ client: CheckpointAttempt.Client) async throws(Problem) -> Response {
        try await complete(request, .rollback, client) { () async throws(CheckpointRefusal) in
            try await checkpoints.rollback(for: client)
        }
    }

    /// Begins a load; answers 202 at once, or with `?wait=true` how it ended.
    private func complete(
        _ request: Request, _ action: CheckpointAttempt.Action, _ client: CheckpointAttempt.Client,
        _ begin: () async throws(CheckpointRefusal) -> CheckpointManager.Completion
    ) async throws(Problem) -> Response {
        let waits = try QueryParameters(request.head.query, known: AdminEndpoint.upload.parameters).flag("wait")
        guard waits else {
            _ = try await begun(action, client, begin)
            var response = await checkpoints.status.response(status: 202)
            response.headers["Location"] = AdminEndpoint.checkpoint.path
            return response
        }
        try await finish(action, client, begin)
        return await checkpoints.status.response(status: 200)
    }

    /// Begins a load and waits for its end.
    ///
    /// - Throws: why it was not begun, or why it failed.
    func finish(
        _ action: CheckpointAttempt.Action, _ client: CheckpointAttempt.Client,
        _ begin: () async throws(CheckpointRefusal) -> CheckpointManager.Completion
    ) async throws(Problem) {
        if case .failure(let failure) = await (try await begun(action, client, begin)).value { throw Problem(failure) }
    }

    private func begun(
        _ action: CheckpointAttempt.Action, _ client: CheckpointAttempt.Client,
        _ begin: () async throws(CheckpointRefusal) -> CheckpointManager.Completion
    ) async throws(Problem) -> CheckpointManager.Completion {
        do throws(CheckpointRefusal) {
            return try await begin()
        } catch {
            let problem = Problem(error)
            CheckpointLog(metrics: metrics, logger: logger).refused(action, problem, client: client)
            throw problem
        }
    }
}

/// The body of `POST /admin/checkpoint`, in which null counts as absent.
struct LoadPost: Equatable {
    let path: String
    let sha256: String?

    private enum Member: String, CaseIterable {
        case path, sha256
    }

    /// - Throws: 400 with the place in the document.
    init(_ bytes: [UInt8]) throws(Problem) {
        var (path, sha256): (String?, String?)
        try scanJSON(bytes[...]) { scanner in
            try scanner.object(of: "member") { (scanner, member: Member) in
                switch member {
                case .path: path = try scanner.string()
                case .sha256: sha256 = try scanner.string()
                }
            }
        }
        guard let path else {
            throw Problem(.malformedBody, "the member path is missing; it names the checkpoint to load")
        }
        self.path = path
        self.sha256 = sha256
    }
}
