import FeatureService
import HTTPServer
import ReverseODE
import Telemetry

package struct PublicAPIConfiguration: Sendable {
    package var maximumImages = 32
    /// The most images that a request may have made.
    package var maximumSamples = 32
    /// Whether images are made at all.
    package var hasGeneration = true
    package var maximumBodyBytes = 32 << 20
    /// The time for requests without `X-Request-Timeout`.
    package var defaultTimeout: Duration = .seconds(60)
    /// The longest time granted; a request that asks for more gets this.
    package var maximumTimeout: Duration = .seconds(600)
    /// Keys that open everything but health checks, the playground's page and the documents of the API; nil opens it to everyone.
    package var apiKeys: [String]?
    var wrongKeys = AuthenticationLimit.Allowance()
    /// Whether the playground is at `/`.
    package var hasPlayground = true
    package var accessLog = AccessLog.all
    /// Further names of the serving model for OpenAI's clients, also after a swap.
    package var modelAliases: [String] = []
    /// Which pages on other origins may read the answers; nil if none may.
    package var pages: CrossOriginPolicy?
    /// What `GET /version` names.
    package var build: BuildInformation

    package init(build: BuildInformation) { self.build = build }
}

/// The API of the public port, which `server(_:)` serves. `PublicEndpoints.swift` is the table of its endpoints.
package final class PublicAPI: Sendable {
    let service: FeatureService
    /// The keys are removed; the authenticator has their digests.
    let configuration: PublicAPIConfiguration
    let authenticator: Authenticator?
    let observer: RequestObserver
    let timeout: TimeLimits
    let pages: CrossOriginPolicy?
    /// Reads large bodies and writes large results, which must not block the cooperative pool.
    let workers = BlockingPool(width: 2)

    /// Makes the API of a service.
    ///
    /// - Parameters:
    ///   - metrics: those whose `events` the service was made with.
    ///   - logger: gets one access line for each request.
    ///   - tracing: gets the spans of requests; nil to export none.
    package init(
        service: FeatureService, configuration: PublicAPIConfiguration, metrics: ServiceMetrics,
        logger: Logger, tracing: RequestTracing? = nil
    ) {
        self.service = service
        let observer = RequestObserver(
            listener: .public, metrics: metrics, logger: logger, accessLog: configuration.accessLog,
            tracing: tracing)
        self.observer = observer
        authenticator = configuration.apiKeys.map {
            Authenticator(keys: $0, allowance: configuration.wrongKeys, observer: observer)
        }
        var keyless = configuration
        keyless.apiKeys = nil
        self.configuration = keyless
        pages = configuration.pages
        timeout = TimeLimits(standard: configuration.defaultTimeout, maximum: configuration.maximumTimeout)
    }

    /// A server of this API, to be started.
    ///
    /// - Throws: `ServerError` if the configuration makes no sense.
    package func server(_ configuration: ServerConfiguration) throws(ServerError) -> Server {
        try makeServer(configuration)
    }

    /// Replaces the API keys, from the next request on.
    ///
    /// - Returns: whether the keys changed.
    /// - Precondition: the API was made with keys. A running listener never switches between open and closed.
    @discardableResult
    package func replaceKeys(_ keys: [String]) -> Bool { authenticator!.replace(keys: keys) }

    // MARK: Descriptions

    func playground() throws(Problem) -> Response {
        guard configuration.hasPlayground else {
            throw Problem(.notFound, "the playground is turned off; /openapi.yaml lists what the service offers")
        }
        return Playground.response
    }

    func describeModel() async throws(Problem) -> Response {
        guard let served = await service.active else { throw .starting }
        do {
            let description = try ModelDescription(
                configuration: served.configuration, sha256: served.version.sha256, byteCount: served.byteCount,
                storedType: served.storedType, precision: served.model.precision,
                decoding: service.configuration.decoding.rawValue)
            let generation = configuration.hasGeneration ? configuration.maximumSamples : nil
            return try ServedModelDescription(model: description, maximumSamples: generation).response()
        } catch {
            throw Problem(.internalError, "the model can't be described: \(error)")
        }
    }
}

/// A file that is compiled into the program.
func embeddedFile(_ file: (UnsafeMutablePointer<Int>?) -> UnsafePointer<UInt8>?) -> [UInt8] {
    var length = 0
    let start = file(&length)
    return [UInt8](UnsafeBufferPointer(start: start, count: length))
}
