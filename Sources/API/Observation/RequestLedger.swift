import FeatureService
import HTTPServer
import Synchronization
import Telemetry

/// What metrics and logs call a request's route: never the client's own words, of which there is no end.
struct RouteLabel: Equatable, Sendable {
    let method: String
    let path: String
    /// Whether it is a health check or a scrape.
    var isRoutine = false

    /// For requests that matched no route.
    static let unmatched = RouteLabel(method: "other", path: "unmatched")
}

/// What is known of a request while it lasts.
struct RequestAccount: Sendable {
    let id: RequestID
    let trace: TraceContext
    var route: RouteLabel
    var images: Int?
    var model: ModelVersion?
    var timings: FeatureTimings?
    var cache: CacheOutcome?
    /// The sort of problem that it is answered with, if it is.
    var code: ProblemCode?

    /// Takes the client's `X-Request-Id` and `traceparent`, or begins its own.
    init(_ headers: HTTPHeaders, route: RouteLabel) {
        id = RequestID(accepting: headers["X-Request-Id"])
        trace = headers["traceparent"].flatMap(TraceContext.init(traceparent:))?.child() ?? .root()
        self.route = route
    }

    /// The response with the headers that every response has.
    func identifying(_ response: Response) -> Response {
        var response = response
        response.headers["X-Request-Id"] = id.description
        response.headers["traceparent"] = trace.traceparent
        return response
    }
}

/// Keeps one account per request from its head to its end, and then writes its access line and counts it.
///
/// Accounts are opened by what the server calls for every request that it reads (`bodyPolicy` or `transportError`) and
/// closed by what it calls at every request's end, so that none is left over whatever the handler does.
final class RequestLedger: Sendable {
    private let accounts = Mutex<[UInt64: RequestAccount]>([:])
    private let listener: Listener
    private let metrics: ServiceMetrics
    private let logger: Logger
    private let accessLog: AccessLog

    init(of listener: Listener, metrics: ServiceMetrics, logger: Logger, accessLog: AccessLog) {
        self.accessLog = accessLog
        self.listener = listener
        self.metrics = metrics
        self.logger = logger
    }

    /// Requests that haven't ended.
    var count: Int { accounts.withLock { $0.count } }

    /// The request's account, opened if need be.
    func open(_ id: UInt64, headers: HTTPHeaders, route: RouteLabel) -> RequestAccount {
        accounts.withLock { accounts in
            if let account = accounts[id] { return account }
            let account = RequestAccount(headers, route: route)
            accounts[id] = account
            return account
        }
    }

    /// The request's account; one that was never opened is made up and not kept.
    func account(of head: RequestHead, route: RouteLabel) -> RequestAccount {
        accounts.withLock { $0[head.id] } ?? RequestAccount(head.headers, route: route)
    }

    /// Has the metrics tell of the server whose requests these are.
    func watch(_ server: Server) { metrics.watch(server, at: listener) }

    /// Notes that a request was refused for want of a key.
    func note(_ refusal: Doorkeeper.Refusal) { metrics.authenticationFailed(at: listener, refusal) }

    /// Notes that a request is answered with a problem. A fault of the service is logged at once, regardless of --access-log.
    func note(_ problem: Problem, for id: UInt64) {
        let account = accounts.withLock { accounts in
            accounts[id]?.code = problem.code
            return accounts[id]
        }
        guard problem.code.status == 500, let account else { return }
        logger.error(
            "fault",
            [
                "request_id": .string(account.id.description), "route": .string(account.route.path),
                "code": .string(problem.code.rawValue), "detail": .string(problem.detail),
            ])
    }

    /// Notes what a request's handling brought.
    func note(_ response: FeatureResponse, for id: UInt64) {
        metrics.observe(response.timings)
        accounts.withLock {
            $0[id]?.images = response.results.count
            $0[id]?.model = response.served.version
            $0[id]?.timings = response.timings
            $0[id]?.cache = CacheOutcome(response.sources)
        }
    }

    /// Ends an account. The raw target stays out of the log, since queries and paths may hold what is nobody's business.
    func close(_ record: ExchangeRecord) {
        let account =
            accounts.withLock { $0.removeValue(forKey: record.id) }
            ?? RequestAccount(record.headers, route: .unmatched)
        let total = record.receiving + record.handling + record.writing
        metrics.requestEnded(account.route, status: record.status, total: total)
        let level = accessLog.level(
            status: record.status, isComplete: record.outcome == .completed, isRoutine: account.route.isRoutine)
        if let level { logger.log(level, "request", Self.fields(account, record, total: total)) }
    }

    private static func fields(_ account: RequestAccount, _ record: ExchangeRecord, total: Duration) -> LogFields {
        var fields: LogFields = [
            "request_id": .string(account.id.description), "trace_id": .string(account.trace.traceID),
            "span_id": .string(account.trace.spanID), "method": .string(record.method),
            "route": .string(account.route.path), "status": .integer(record.status),
            "outcome": .string(record.outcome.rawValue), "client": .string(record.remoteAddress),
            "request_bytes": .integer(record.requestBytes), "response_bytes": .integer(record.responseBytes),
            "receive_seconds": .seconds(record.receiving), "handle_seconds": .seconds(record.handling),
            "write_seconds": .seconds(record.writing), "total_seconds": .seconds(total),
        ]
        if let code = account.code { fields["code"] = .string(code.rawValue) }
        if let images = account.images { fields["images"] = .integer(images) }
        if let timings = account.timings {
            fields["decode_seconds"] = .number(timings.decode)
            fields["queue_seconds"] = .number(timings.queue)
            fields["inference_seconds"] = .number(timings.inference)
        }
        if let cache = account.cache { fields["cache"] = .string(cache.source.rawValue) }
        if let model = account.model {
            fields["model"] = .string(model.name)
            fields["model_version"] = .string(model.label)
        }
        return fields
    }
}
