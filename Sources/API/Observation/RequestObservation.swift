import FeatureService
import HTTPServer
import Telemetry

/// What metrics and logs call a request's route: never the client's own text, which could have any number of values.
struct RouteLabel: Equatable, Sendable {
    let method: String
    let path: String
    /// Whether it is a health check or a scrape.
    var isRoutine = false

    /// For requests that matched no route.
    static let unmatched = RouteLabel(method: "other", path: "unmatched")
    /// For the questions of browsers, whatever path they ask about.
    static let preflight = RouteLabel(method: "OPTIONS", path: "preflight")
}

/// What logs and metrics tell of a request.
struct RequestObservation: Sendable {
    let id: RequestID
    let trace: TraceContext
    /// The client's span; nil if the trace begins here.
    let parent: TraceContext?
    /// Whether spans of the request are exported.
    let isTraced: Bool
    /// The path; nil unless the API has it, as another may hold secrets.
    var path: String?
    var route = RouteLabel.unmatched
    /// The form of the errors that the request is answered with.
    var errors: ErrorFormat
    /// The features computed for it; nil if none were.
    var features: ObservedFeatures?
    /// When the work of each pass was done, also of one that failed; empty if the request isn't traced.
    var traces: [FeatureTrace] = []
    /// The code of the problem that it is answered with; nil if it has none.
    var code: ProblemCode?

    /// What the answer says to a page on another origin.
    private let pageHeaders: HTTPHeaders

    /// Takes the client's `X-Request-Id` and `traceparent`, or begins its own.
    ///
    /// - Parameters:
    ///   - errors: the form of errors until the request's endpoint is known.
    ///   - pages: which pages on other origins may read the answer; nil if none may.
    ///   - sampler: decides whether a trace that begins here is recorded; nil if no spans are exported.
    init(
        _ headers: HTTPHeaders, errors: ErrorFormat, pages: CrossOriginPolicy? = nil, sampler: TraceSampler? = nil
    ) {
        self.errors = errors
        pageHeaders = pages?.headers(for: headers.values(of: "Origin")) ?? [:]
        id = RequestID(accepting: headers["X-Request-Id"])
        parent = headers["traceparent"].flatMap(TraceContext.init(traceparent:))
        trace = parent?.child() ?? .root(sampler)
        isTraced = sampler != nil && trace.isSampled
    }

    /// The response with the headers that every response has.
    func identifying(_ response: Response) -> Response {
        var response = response
        response.headers["X-Request-Id"] = id.description
        response.headers["traceparent"] = trace.traceparent
        for field in pageHeaders.fields { response.headers.append(name: field.name, value: field.value) }
        return response
    }
}

/// What logs tell of the features computed for a request.
struct ObservedFeatures: Sendable {
    /// Images of the request, or made for it.
    let images: Int
    let model: ModelVersion
    /// Of all the passes that the request needed.
    let timings: FeatureTimings
    /// Nil if no answer was looked up.
    let cache: CacheOutcome?

    /// - Parameter earlier: what was computed for the same request before.
    init(_ response: FeatureResponse, after earlier: ObservedFeatures?) {
        images = earlier?.images ?? response.results.count
        model = response.served.version
        timings = earlier.map { $0.timings + response.timings } ?? response.timings
        cache = CacheOutcome(response.sources) ?? earlier?.cache
    }
}
