import FeatureService
import HTTPServer
import Synchronization
import Telemetry

/// One of the two ports.
enum Listener: String, Sendable, CaseIterable {
    case `public`, admin

    /// What log lines call its server.
    var serverName: String {
        switch self {
        case .public: "http server"
        case .admin: "admin http server"
        }
    }
}

/// What is reloaded while the service runs.
package enum ReloadedPart: String, Sendable, CaseIterable {
    /// The certificate and its key.
    case certificate
    /// The keys of the public listener.
    case apiKeys = "api_keys"
    /// The token of the admin listener.
    case adminToken = "admin_token"
    /// The configured model.
    case model
}

/// How a reload ended.
package enum ReloadOutcome: String, Sendable, CaseIterable {
    /// It has changed, and the new one is in use.
    case changed
    /// It has not changed.
    case unchanged
    /// It can't be used; the previous one stays in use.
    case failed
}

/// Everything that the service counts and measures, under the prefix `headwater_`, and the system's figures of the process,
/// under their customary names.
///
/// It is made before the service and supplies its `ServiceEvents`. Both APIs report to it, and `GET /metrics` reads it.
package final class ServiceMetrics: Sendable {
    /// Where the metrics are registered. Other parts of the program may add theirs.
    package let registry: MetricsRegistry
    /// The events to make the service with.
    package let events: ServiceEvents
    /// The events to make the exporter of spans with.
    package let spanEvents: SpanEvents

    private let requests: Labelled<Counter>
    private let requestSeconds: Labelled<Histogram>
    private let decodeSeconds: Histogram
    private let queueSeconds: Histogram
    private let inferenceSeconds: Histogram
    private let swaps: Labelled<Counter>
    private let reloads: Labelled<Counter>
    private let authenticationFailures: Labelled<Counter>
    /// The service's state at the latest scrape, and the model that served.
    private let scraped = Mutex<(status: ServiceStatus, served: ModelVersion?)?>(nil)
    private let servers = Mutex<[Listener: @Sendable () -> ServerCounters?]>([:])

    private static let quantities: [(name: String, help: String, value: @Sendable (ServiceStatus) -> Double)] = [
        ("headwater_cache_bytes", "Bytes of cached answers.", { Double($0.cachedBytes) }),
        ("headwater_images_waiting", "Admitted images that wait for their first step.", { Double($0.waiting) }),
        ("headwater_images_decoding", "Waiting images that are not decoded yet.", { Double($0.decoding) }),
        ("headwater_images_in_flight", "Images between their first and last step.", { Double($0.inFlight) }),
        (
            "headwater_expected_wait_seconds", "Seconds until the admitted work is done, at the present rate.",
            { $0.expectedWait }
        ),
    ]

    /// Registers the metrics and those of the process.
    ///
    /// - Parameters:
    ///   - configuration: the service's, whose limits are exported with the quantities that they limit.
    ///   - build: which program runs.
    ///   - kernels: the name of the set of kernels.
    /// - Throws: `MetricError` if `registry` has a metric of the same name.
    package init(
        registry: MetricsRegistry = MetricsRegistry(), configuration: FeatureServiceConfiguration,
        build: BuildInformation, kernels: String
    ) throws(MetricError) {
        self.registry = registry
        requests = try registry.counter(
            "headwater_requests_total", help: "Requests ended, by route and status.",
            labels: ["method", "route", "status"])
        requestSeconds = try registry.histogram(
            "headwater_request_seconds", help: "Seconds from a request's line to the end of its response.",
            labels: ["method", "route"], bounds: HistogramBuckets.seconds)
        decodeSeconds = try registry.histogram(
            "headwater_decode_seconds",
            help: "Seconds to decode a request's images, including the wait for a decoder.",
            bounds: HistogramBuckets.seconds)
        queueSeconds = try registry.histogram(
            "headwater_queue_seconds",
            help: "Seconds from the end of decoding to the first step, of a request's slowest image.",
            bounds: HistogramBuckets.seconds)
        inferenceSeconds = try registry.histogram(
            "headwater_inference_seconds",
            help: "Seconds from the first step to the last, of a request's slowest image.",
            bounds: HistogramBuckets.seconds)
        let batchImages = try registry.histogram(
            "headwater_batch_images", help: "Images in a step.",
            bounds: HistogramBuckets.powersOfTwo(through: configuration.batchLimit))
        let stepSeconds = try registry.histogram(
            "headwater_step_seconds", help: "Seconds that a step took.", bounds: HistogramBuckets.seconds)
        let steps = try registry.counter("headwater_steps_total", help: "Steps, each one evaluation of the network.")
        let evaluations = try registry.counter(
            "headwater_evaluations_total", help: "Network evaluations, counted per image.")
        let images = try registry.counter("headwater_images_total", help: "Images whose features were computed.")
        let generated = try registry.counter(
            "headwater_images_generated_total", help: "Images made from noise or from latents.")
        let rejected = try registry.counter(
            "headwater_requests_rejected_total",
            help: "Requests refused because too much was under way, by the limit reached.",
            labels: ["limit"])
        for limit in AdmissionLimit.allCases { rejected[limit.rawValue].increment(by: 0) }
        let expired = try registry.counter(
            "headwater_requests_expired_total", help: "Requests dropped because their deadline had passed.")
        let abandoned = try registry.counter(
            "headwater_requests_abandoned_total", help: "Requests dropped because their client had disconnected.")
        let notFinite = try registry.counter(
            "headwater_images_not_finite_total", help: "Images on which the model's numbers became infinite or NaN.")
        swaps = try registry.counter(
            "headwater_checkpoint_swaps_total", help: "Attempts to change the model, by outcome.", labels: ["outcome"])
        reloads = try registry.counter(
            "headwater_reloads_total", help: "Files reloaded at SIGHUP, by content and outcome.",
            labels: ["what", "outcome"])
        authenticationFailures = try registry.counter(
            "headwater_authentication_failures_total", help: "Requests refused because the key was missing or wrong.",
            labels: ["listener", "outcome"])
        let answers: [AnswerSource: Counter] = [
            .hit: try registry.counter("headwater_cache_hits_total", help: "Images answered from the cache."),
            .shared: try registry.counter(
                "headwater_cache_shared_total",
                help: "Images answered by the computation for an identical image in progress."),
            .miss: try registry.counter(
                "headwater_cache_misses_total",
                help: "Images computed because neither the cache nor a computation in progress had their answer."),
        ]
        let exported = try registry.counter(
            "headwater_spans_exported_total", help: "Spans that the collector of traces has taken.")
        let lost = try registry.counter(
            "headwater_spans_dropped_total", help: "Spans that were not exported, by reason.", labels: ["reason"])
        for loss in SpanLoss.allCases { lost[loss.rawValue].increment(by: 0) }
        var spanEvents = SpanEvents()
        spanEvents.exported = { exported.increment(by: UInt64($0)) }
        spanEvents.lost = { lost[$1.rawValue].increment(by: UInt64($0)) }
        self.spanEvents = spanEvents
        var events = ServiceEvents()
        events.stepped = { batch, seconds in
            steps.increment()
            evaluations.increment(by: UInt64(batch))
            batchImages.observe(Double(batch))
            stepSeconds.observe(seconds)
        }
        events.rejected = { rejected[$0.rawValue].increment() }
        events.expired = { expired.increment() }
        events.abandoned = { abandoned.increment() }
        events.notFinite = { notFinite.increment() }
        events.answered = { answers[$0]?.increment() }
        events.completed = { images.increment() }
        events.generated = { generated.increment() }
        self.events = events
        for (name, help, value) in Self.quantities {
            try registry.gauge(name, help: help) { [weak self] in
                self?.scraped.withLock { $0 }.map { [Sample(value($0.status))] } ?? []
            }
        }
        try registry.gauge(
            "headwater_images_waiting_limit", help: "Number of waiting images above which requests are refused."
        )
        .set(Double(configuration.queueLimit))
        try registry.gauge(
            "headwater_expected_wait_limit_seconds", help: "Expected wait above which requests are refused, in seconds."
        )
        .set(configuration.waitLimit.map { $0 / .seconds(1) } ?? .infinity)
        for outcome in CheckpointOutcome.allCases { swaps[outcome.rawValue].increment(by: 0) }
        for part in ReloadedPart.allCases {
            for outcome in ReloadOutcome.allCases { reloads[part.rawValue, outcome.rawValue].increment(by: 0) }
        }
        for listener in Listener.allCases {
            for failure in AuthenticationFailure.allCases {
                authenticationFailures[listener.rawValue, failure.rawValue].increment(by: 0)
            }
        }
        try registry.registerProcessMetrics()
        try registry.gauge(
            "headwater_build_info", help: "The running program; always 1.", labels: ["version", "commit", "kernels"]
        ) { [Sample(1, labelValues: [build.version, build.commit, kernels])] }
        try registry.gauge(
            "headwater_model_info", help: "The model served; always 1.", labels: ["name", "version", "sha256"]
        ) { [weak self] in
            guard let version = self?.scraped.withLock({ $0?.served }) else { return [] }
            return [Sample(1, labelValues: [version.name, version.label, version.sha256])]
        }
        try registry.gauge("headwater_connections_open", help: "Connections open.", labels: ["listener"]) {
            [weak self] in self?.samples { Double($0.openConnections) } ?? []
        }
        try registry.gauge(
            "headwater_certificate_expiry_seconds",
            help: "When the certificate served expires, in seconds since 1970.", labels: ["listener"]
        ) { [weak self] in self?.samples { $0.certificateExpiry.map(Double.init) } ?? [] }
        try registry.counter(
            "headwater_connections_refused_total", help: "Connections refused because the limit was reached.",
            labels: ["listener"]
        ) { [weak self] in self?.samples { Double($0.refusedConnections) } ?? [] }
        try registry.gauge(
            "headwater_body_bytes_held", help: "Bytes that bodies and answers of requests hold in memory.",
            labels: ["listener"]
        ) { [weak self] in self?.samples { Double($0.heldBodyBytes) } ?? [] }
    }

    /// Includes a listener's server in every scrape while it exists.
    func watch(_ server: Server, at listener: Listener) {
        // Weakly, since the server's application refers to this object.
        servers.withLock { $0[listener] = { [weak server] in server?.counters } }
    }

    private func samples(_ value: (ServerCounters) -> Double?) -> [Sample] {
        servers.withLock { $0 }.compactMap { listener, counters in
            counters().flatMap(value).map { Sample($0, labelValues: [listener.rawValue]) }
        }
    }

    package func checkpointEnded(_ outcome: CheckpointOutcome) { swaps[outcome.rawValue].increment() }

    package func reloaded(_ part: ReloadedPart, _ outcome: ReloadOutcome) {
        reloads[part.rawValue, outcome.rawValue].increment()
    }

    func authenticationFailed(at listener: Listener, _ failure: AuthenticationFailure) {
        authenticationFailures[listener.rawValue, failure.rawValue].increment()
    }

    func requestEnded(_ route: RouteLabel, status: Int, total: Duration) {
        requests[route.method, route.path, String(status)].increment()
        requestSeconds[route.method, route.path].observe(total)
    }

    func observe(_ timings: FeatureTimings) {
        decodeSeconds.observe(timings.decode)
        queueSeconds.observe(timings.queue)
        inferenceSeconds.observe(timings.inference)
    }

    /// The text of `GET /metrics`, with the service's present state.
    func exposition(_ status: ServiceStatus, served: ModelVersion?) -> String {
        scraped.withLock { $0 = (status, served) }
        return registry.exposition()
    }
}
