import API
import Arguments
import Console
import Telemetry

/// The export of traces that `headwater serve` was asked for.
struct ServeTracing: Sendable {
    let requests: RequestTracing
    private let exporter: SpanExporter
    private let url: String
    private let logger: Logger

    /// - Parameter endpoint: the collector's address; nil exports nothing.
    /// - Returns: nil if none was asked for.
    init?(
        to endpoint: String?, _ arguments: ParsedArguments, _ build: BuildInformation, metrics: ServiceMetrics,
        logger: Logger
    ) throws {
        guard let url = endpoint else { return nil }
        (self.url, self.logger) = (url, logger)
        let transport: CurlTransport
        do throws(CurlTransport.Unavailable) {
            transport = try CurlTransport(url: url, userAgent: "headwater/\(build.version)")
        } catch {
            throw CommandFailure(
                .unavailable,
                "\(arguments.place(of: ServeOptions.otlpEndpoint)): exporting traces needs libcurl-gnutls.so.4, which "
                    + "is not installed; install it, or leave the option out")
        }
        var events = metrics.spanEvents
        events.failed = {
            logger.warning("traces not exported", ["endpoint": .string(url), "reason": .string($0)])
        }
        events.recovered = { logger.info("traces exported again", ["endpoint": .string(url)]) }
        exporter = SpanExporter(
            document: SpanDocument(service: "headwater", version: build.version), transport: transport, events: events)
        requests = RequestTracing(
            exporter: exporter, sampler: TraceSampler(ratio: try arguments[ServeOptions.otlpSample]))
    }

    /// Sends what waits, until `end` but for a second at least, as supervisors wait longer, and for five at most: a collector that
    /// doesn't answer must not hold up a restart.
    func finish(by end: ContinuousClock.Instant) async {
        let left = ContinuousClock.now.duration(to: end)
        guard await !exporter.finish(within: min(max(left, .seconds(1)), .seconds(5))) else { return }
        logger.warning(
            "traces not exported",
            ["endpoint": .string(url), "reason": "the service ended before the collector had answered"])
    }

    /// The collector's address; nil if none is given.
    static func endpoint(_ arguments: ParsedArguments) throws -> String? {
        let option = ServeOptions.otlpEndpoint
        guard let url = try arguments[option] else {
            try arguments.refuse(
                [ServeOptions.otlpSample], "without a collector, nothing is traced",
                remedy: "give --otlp-endpoint as well")
            return nil
        }
        let isPrintable = url.utf8.allSatisfy { (0x21...0x7E).contains($0) }
        let scheme = ["http://", "https://"].first { url.lowercased().hasPrefix($0) }
        guard let scheme, isPrintable else {
            throw UsageError(
                "\(UsageError.quoted(url)) is not an HTTP URL", at: arguments.place(of: option), remedy: form)
        }
        let rest = url.dropFirst(scheme.count)
        let authority = rest.prefix { !"/?#".contains($0) }
        try arguments.require(!authority.isEmpty, of: option, "\(UsageError.quoted(url)) has no host", remedy: form)
        try arguments.require(
            !authority.contains("@"), of: option, "the log would show the password of this address",
            remedy: "leave it out, and let the collector trust this machine")
        try arguments.require(
            WebOrigin.isAuthority(authority), of: option,
            "\(UsageError.quoted(String(authority))) is not a host with an optional port from 1 to 65535", remedy: form)
        try arguments.require(
            !url.contains("#"), of: option, "\(UsageError.quoted(url)) has a fragment, which isn't sent",
            remedy: "leave out the # and what follows it")
        let path = rest.dropFirst(authority.count)
        try arguments.require(
            path.count > 1 && path.hasPrefix("/"), of: option,
            "\(UsageError.quoted(url)) has no path; collectors usually take traces at /v1/traces",
            remedy: "give \(scheme)\(authority)/v1/traces")
        return url
    }

    private static let form =
        "give the address at which the collector takes traces, such as http://localhost:4318/v1/traces"
}
