import CContract
public import FeatureService
import FoundationEssentials
public import HTTPServer
import ReverseODE
public import Telemetry

/// What the public API grants and calls itself.
public struct PublicAPIConfiguration: Sendable {
    /// Most images in a request.
    public var maximumImages = 32
    /// Largest body in bytes.
    public var maximumBodyBytes = 32 << 20
    /// The time for requests that don't say `X-Request-Timeout`.
    public var defaultTimeout: Duration = .seconds(60)
    /// The longest time granted; a request that asks for more gets this.
    public var maximumTimeout: Duration = .seconds(600)
    /// Keys that open everything but health checks and the playground's page; nil opens it to everybody.
    public var apiKeys: [String]?
    var wrongKeys = AuthenticationLimit.Allowance()
    /// Whether the playground is at `/`.
    public var hasPlayground = true
    /// Which requests are logged.
    public var accessLog = AccessLog.all
    /// What `GET /version` names.
    public var build: BuildInformation

    /// The defaults.
    public init(build: BuildInformation) { self.build = build }
}

/// The public routes: what the server on the public port is to be made with (`server(_:)`).
public final class PublicAPI: Sendable {
    let service: FeatureService
    /// Without the keys, of which the gateway has the digests.
    let configuration: PublicAPIConfiguration
    let gateway: Gateway<PublicEndpoint>
    let timeout: RequestTimeout
    let limits: PostLimits
    /// Takes large bodies apart and writes large results, neither of which may hold up the cooperative pool.
    let workers = DecodePool(width: 2)
    private let logger: Logger

    /// Makes the API of a service.
    ///
    /// - Parameters:
    ///   - metrics: whose `events` the service was made with.
    ///   - logger: gets one access line a request.
    public init(
        service: FeatureService, configuration: PublicAPIConfiguration, metrics: ServiceMetrics,
        logger: Logger
    ) {
        self.service = service
        self.logger = logger
        gateway = Gateway(
            keys: configuration.apiKeys, wrongKeys: configuration.wrongKeys,
            ledger: RequestLedger(
                of: .public, metrics: metrics, logger: logger, accessLog: configuration.accessLog))
        var keyless = configuration
        keyless.apiKeys = nil
        self.configuration = keyless
        timeout = RequestTimeout(standard: configuration.defaultTimeout, maximum: configuration.maximumTimeout)
        limits = PostLimits(
            maximumImages: configuration.maximumImages, maximumBodyBytes: configuration.maximumBodyBytes)
    }

    /// A server of this API, to be started.
    ///
    /// - Throws: `ServerError` if the configuration makes no sense.
    public func server(_ configuration: ServerConfiguration) throws(ServerError) -> Server {
        let server = try Server(
            configuration: configuration, handler: { await self.respond(to: $0) },
            bodyPolicy: { self.bodyPolicy($0) }, transportError: { self.gateway.response(to: $0) },
            observe: { self.gateway.ledger.close($0) },
            log: { self.logger.warning("http server", ["detail": .string($0)]) })
        gateway.ledger.watch(server)
        return server
    }

    /// Has other API keys let requests in, from the next request on. Only for an API that was made with keys.
    ///
    /// - Returns: whether they are others than before.
    @discardableResult
    public func replaceKeys(_ keys: [String]) -> Bool { gateway.replace(keys: keys) }

    /// Requests read whose end hasn't come.
    var openRequests: Int { gateway.ledger.count }

    /// Refuses from the head alone whatever can be: nobody should upload a body to hear of a typing error.
    private func bodyPolicy(_ head: RequestHead) -> BodyPolicy {
        gateway.bodyPolicy(head) { endpoint throws(Problem) in
            guard endpoint.method == "POST" else {
                _ = try QueryParameters(head.query, of: endpoint)
                return .memory(maximumBytes: 0)
            }
            _ = try RequestOptions(head.query, names: endpoint.options)
            _ = try ContentCoding.checked(head.headers)
            if endpoint.formats.isEmpty {
                try InferenceRequest.requireNoForm(head.headers)
                _ = try InferenceRequest.headerLength(head.headers)
            } else {
                _ = try BodyForm(head.headers)
                _ = try ResultFormat.negotiated(head.headers, offered: endpoint.formats)
            }
            _ = try timeout.deadline(of: head)
            if let refusal = service.refusal() { throw Problem(refusal) }
            return .memory(maximumBytes: configuration.maximumBodyBytes)
        }
    }

    private func respond(to request: Request) async -> Response {
        await gateway.respond(to: request) { request, route, account async throws(Problem) in
            switch route.operation {
            case .embed: try await embed(request, account)
            case .classify: try await classify(request, account)
            case .trajectory: try await trajectory(request, account)
            case .infer, .inferVersion: try await infer(request, route, account)
            case .inferenceServer: InferenceDescription.server(version: configuration.build.version)
            case .inferenceModel, .inferenceVersion: InferenceDescription.model(try await servedModel(route))
            case .inferenceModelReady, .inferenceVersionReady: try await modelReadiness(route)
            case .inferenceModelConfiguration, .inferenceVersionConfiguration: try await modelConfiguration(route)
            case .inferenceModelStatistics, .inferenceVersionStatistics:
                statistics(of: [try await servedModel(route)])
            case .inferenceStatistics: statistics(of: await service.active.map { [$0] } ?? [])
            case .live, .inferenceLive: try HealthCheck.live.response(await service.status())
            case .ready, .inferenceReady: try HealthCheck.ready.response(await service.status())
            case .startup: try HealthCheck.startup.response(await service.status())
            case .model: try await describeModel()
            case .contract: Self.contract
            case .playground: try playground()
            case .version: configuration.build.response
            }
        }
    }

    // MARK: Features

    private func embed(_ request: Request, _ account: RequestAccount) async throws(Problem) -> Response {
        let format = try ResultFormat.negotiated(request.head.headers, offered: PublicEndpoint.embed.formats)
        let posted = try await posted(request, PublicEndpoint.embed)
        let options = posted.options
        guard format == .json || options.encoding == nil else {
            throw Problem(.invalidParameter, "encoding is for JSON results; a NumPy array is binary already")
        }
        let selection = try options.selection()
        let tapCount = selection.count
        guard format == .json || tapCount == 1 else {
            throw Problem(
                .invalidParameter, "several taps don't fit into one array; request one tap, or application/json")
        }
        guard tapCount * posted.images.count <= RequestOptions.maximumTapsOfAllImages else {
            throw Problem(
                .invalidParameter,
                "\(tapCount) taps of \(posted.images.count) images are more than "
                    + "\(RequestOptions.maximumTapsOfAllImages); send fewer images at a time")
        }
        let results = try await features(
            posted.images.map { .encoded($0) }, FeatureRequest(selection), request.head, account
        ).unlessSingleFailure()
        let normalization = options.normalization ?? .none
        let encoding = options.encoding ?? .float
        return try await written(results) { () throws(Problem) in
            switch format {
            case .json: try results.embeddings(normalization: normalization, encoding: encoding)
            case .npy: try results.embeddingsArray(normalization: normalization)
            }
        }
    }

    private func classify(_ request: Request, _ account: RequestAccount) async throws(Problem) -> Response {
        let posted = try await posted(request, PublicEndpoint.classify)
        let results = try await features(
            posted.images.map { .encoded($0) }, FeatureRequest(wantsLogits: true), request.head, account
        ).unlessSingleFailure()
        return try await written(results) { () throws(Problem) in try results.classes(top: posted.options.top) }
    }

    private func trajectory(_ request: Request, _ account: RequestAccount) async throws(Problem) -> Response {
        let posted = try await posted(request, PublicEndpoint.trajectory)
        let results = try await features(
            posted.images.map { .encoded($0) }, FeatureRequest(.roundTrip(atMost: RoundTrip.maximumStates)),
            request.head, account
        ).unlessSingleFailure()
        return try await written(results) { () throws(Problem) in try results.roundTrip() }
    }

    /// Has features computed.
    ///
    /// - Parameter limit: the time that the body allows; nil if it doesn't say.
    func features(
        _ inputs: [FeatureInput], _ wanted: FeatureRequest, _ head: RequestHead, _ account: RequestAccount,
        within limit: Duration? = nil
    ) async throws(Problem) -> FeatureResults {
        var wanted = wanted
        wanted.deadline = try timeout.deadline(of: head, within: limit)
        let response: FeatureResponse
        do throws(FeatureServiceError) {
            response = try await service.features(of: inputs, wanted)
        } catch {
            throw Problem(error)
        }
        gateway.ledger.note(response, for: head.id)
        return FeatureResults(response: response, requestID: account.id.description)
    }

    func posted(_ request: Request, _ endpoint: PublicEndpoint) async throws(Problem) -> PostedImages {
        var limits = limits
        if endpoint == .trajectory { limits.maximumImages = 1 }
        let parse: @Sendable () -> Result<PostedImages, Problem> = { [limits] in
            Result { () throws(Problem) in try PostedImages(request, options: endpoint.options, limits: limits) }
        }
        // A raw body has nothing to be taken apart.
        let isRaw = try BodyForm(request.head.headers) == .raw
        return try (isRaw ? parse() : await workers.run(parse)).get()
    }

    /// Writes results where they are, or on a worker if there are many numbers: a millisecond of the pool's is the most
    /// that a request should take.
    func written(
        _ results: FeatureResults, _ write: @escaping @Sendable () throws(Problem) -> Response
    ) async throws(Problem) -> Response {
        let start = ContinuousClock.now
        defer {
            let seconds = (ContinuousClock.now - start) / .seconds(1)
            service.tally.wrote(by: results.response.served.version, seconds: seconds)
        }
        guard results.numberCount > 8192 else { return try write() }
        return try await workers.run { Result { () throws(Problem) in try write() } }.get()
    }

    // MARK: Descriptions

    private func playground() throws(Problem) -> Response {
        guard configuration.hasPlayground else {
            throw Problem(.notFound, "the playground is turned off; /openapi.yaml lists what the service offers")
        }
        return Playground.response
    }

    private func describeModel() async throws(Problem) -> Response {
        guard let served = await service.active else { throw .starting }
        do {
            let description = try ModelDescription(
                configuration: served.configuration, sha256: served.version.sha256, byteCount: served.byteCount,
                storedType: served.storedType, precision: served.model.precision,
                decoding: service.configuration.decoding.rawValue)
            return Response(
                headers: ["Content-Type": "application/json"], body: Array(try description.json().utf8))
        } catch {
            throw Problem(.internalError, "the model can't be described: \(error)")
        }
    }

    private static let contract: Response = {
        var length = 0
        let start = openapi_document(&length)
        return Response(
            headers: ["Content-Type": "application/yaml"],
            body: [UInt8](UnsafeBufferPointer(start: start, count: length)))
    }()
}
