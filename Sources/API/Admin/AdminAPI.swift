import FeatureService
import HTTPServer
import Telemetry

package struct AdminAPIConfiguration: Sendable {
    /// The bearer token that opens everything but health checks; nil opens it to everyone who reaches the
    /// listener, which must then be loopback.
    package var token: String?
    var wrongKeys = AuthenticationLimit.Allowance()
    package var maximumUploadBytes = 8 << 30
    package var uploadTimeout: Duration = .seconds(3600)

    package var accessLog = AccessLog.all
    /// What `GET /version` names.
    package var build: BuildInformation

    package init(build: BuildInformation) { self.build = build }
}

/// The operator's API, for a listener of its own: metrics, and changing the checkpoint while requests are served.
/// `AdminEndpoints.swift` is the table of its endpoints.
package final class AdminAPI: Sendable {
    let service: FeatureService
    let checkpoints: CheckpointManager
    /// The token is removed; the authenticator has its digest.
    let configuration: AdminAPIConfiguration
    let authenticator: Authenticator?
    let observer: RequestObserver
    /// Reads the model directory.
    let readers = BlockingPool(width: 1)

    package init(
        service: FeatureService, checkpoints: CheckpointManager, configuration: AdminAPIConfiguration,
        metrics: ServiceMetrics, logger: Logger, tracing: RequestTracing? = nil
    ) {
        self.service = service
        self.checkpoints = checkpoints
        let observer = RequestObserver(
            listener: .admin, metrics: metrics, logger: logger, accessLog: configuration.accessLog,
            tracing: tracing)
        self.observer = observer
        authenticator = configuration.token.map {
            Authenticator(keys: [$0], allowance: configuration.wrongKeys, observer: observer)
        }
        var keyless = configuration
        keyless.token = nil
        self.configuration = keyless
    }

    /// A server of this API, to be started.
    ///
    /// - Throws: `ServerError` if the configuration makes no sense.
    package func server(_ configuration: ServerConfiguration) throws(ServerError) -> Server {
        try makeServer(configuration)
    }

    /// Replaces the token, from the next request on.
    ///
    /// - Returns: whether the token changed.
    /// - Precondition: the API was made with a token.
    @discardableResult
    package func replaceToken(_ token: String) -> Bool { authenticator!.replace(keys: [token]) }

    /// `GET /metrics`.
    func exposition() async -> Response {
        let text = observer.metrics.exposition(await service.status(), served: await service.active?.version)
        return Response(headers: ["Content-Type": MetricsRegistry.contentType], body: Array(text.utf8))
    }

    /// `POST /admin/checkpoint`.
    func load(_ command: Command) async throws(Problem) -> Response {
        let post = try LoadPost(command.request.bytes)
        let load = try await begun(.load, command.client) { () async throws(CheckpointRefusal) in
            try await checkpoints.load(path: post.path, sha256: post.sha256, for: command.client)
        }
        return try await answer(command, load)
    }

    /// `PUT /admin/checkpoint`.
    func upload(_ command: Command) async throws(Problem) -> Response {
        guard case .file(let path, let byteCount) = command.request.body, byteCount > 0 else {
            throw Problem(.checkpointRejected, "the body is empty; send the bytes of a safetensors file")
        }
        let load = try await begun(.upload, command.client) { () async throws(CheckpointRefusal) in
            try await checkpoints.load(upload: path, sha256: command.sha256, for: command.client)
        }
        return try await answer(command, load)
    }

    /// `DELETE /admin/checkpoint`.
    func reset(_ command: Command) async throws(Problem) -> Response {
        let load = try await begun(.reset, command.client) { () async throws(CheckpointRefusal) in
            try await checkpoints.reset(for: command.client)
        }
        return try await answer(command, load)
    }

    /// `POST /admin/rollback`.
    func rollback(_ command: Command) async throws(Problem) -> Response {
        let load = try await begun(.rollback, command.client) { () async throws(CheckpointRefusal) in
            try await checkpoints.rollback(for: command.client)
        }
        return try await answer(command, load)
    }

    /// Answers 202 at once, or with `?wait=true` how the load ended.
    private func answer(_ command: Command, _ load: CheckpointManager.Completion) async throws(Problem) -> Response {
        if command.waits { try await finish(load) }
        var response = await checkpoints.status.response(status: command.waits ? 200 : 202)
        if !command.waits { response.headers["Location"] = "/admin/checkpoint" }
        return response
    }

    /// Waits for a load's end.
    ///
    /// - Throws: why it failed.
    func finish(_ load: CheckpointManager.Completion) async throws(Problem) {
        if case .failure(let failure) = await load.value { throw Problem(failure) }
    }

    /// Begins a load.
    ///
    /// - Throws: why it was not begun, which is logged.
    func begun(
        _ action: CheckpointAttempt.Action, _ client: CheckpointAttempt.Client,
        _ begin: () async throws(CheckpointRefusal) -> CheckpointManager.Completion
    ) async throws(Problem) -> CheckpointManager.Completion {
        do throws(CheckpointRefusal) {
            return try await begin()
        } catch {
            let problem = Problem(error)
            CheckpointLog(metrics: observer.metrics, logger: observer.logger).refused(action, problem, client: client)
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
