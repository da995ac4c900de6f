import FeatureService
import HTTPServer
import Telemetry

/// Reports on a listener's requests: an access line and metrics for each, and an error line for faults of the service.
struct RequestObserver: Sendable {
    let listener: Listener
    let metrics: ServiceMetrics
    let logger: Logger
    let accessLog: AccessLog
    var tracing: RequestTracing?

    /// Logs what the HTTP server says. A client that leaves early is not worth a warning; its request's access line tells of it.
    func logServer(_ message: ServerMessage) {
        let level: LogLevel = message.tellsOfDeparture ? .debug : .warning
        logger.log(level, listener.serverName, ["detail": .string(message.text)])
    }

    /// Writes the response to a problem. A fault of the service is logged at once, regardless of --access-log.
    func response(to problem: Problem, _ observation: inout RequestObservation) -> Response {
        observation.code = problem.code
        if problem.code.status == 500 {
            logger.error(
                "fault",
                [
                    "request_id": .string(observation.id.description), "route": .string(observation.route.path),
                    "code": .string(problem.code.rawValue), "detail": .string(problem.detail),
                ])
        }
        return observation.identifying(
            observation.errors.response(to: problem, requestID: observation.id.description))
    }

    /// Counts a request that isn't authenticated.
    func authenticationFailed(_ failure: AuthenticationFailure) {
        metrics.authenticationFailed(at: listener, failure)
    }

    /// Counts a request whose body didn't fit into the memory for bodies and answers.
    func refusedForMemory() { metrics.events.rejected(.memory) }

    func computed(_ response: FeatureResponse, _ observation: inout RequestObservation) {
        observation.features = ObservedFeatures(response, after: observation.features)
    }

    /// Counts a request that has ended, and writes its access line. The raw target stays out of the log, since queries and
    /// paths may hold secrets.
    func ended(_ record: ExchangeRecord, _ observation: RequestObservation) {
        let total = record.receiving + record.handling + record.writing
        metrics.requestEnded(observation.route, status: record.status, total: total)
        if let features = observation.features { metrics.observe(features.timings) }
        let level = accessLog.level(
            status: record.status, isComplete: record.outcome == .completed, isRoutine: observation.route.isRoutine)
        if let level { logger.log(level, "request", Self.fields(observation, record, total: total)) }
        if observation.isTraced { tracing?.ended(record, observation) }
    }

    private static func fields(
        _ observation: RequestObservation, _ record: ExchangeRecord, total: Duration
    ) -> LogFields {
        var fields: LogFields = [
            "request_id": .string(observation.id.description), "trace_id": .string(observation.trace.traceID),
            "span_id": .string(observation.trace.spanID), "method": .string(record.method),
            "route": .string(observation.route.path), "status": .integer(record.status),
            "outcome": .string(record.outcome.rawValue), "client": .string(record.remoteAddress),
            "request_bytes": .integer(record.requestBytes), "response_bytes": .integer(record.responseBytes),
            "receive_seconds": .seconds(record.receiving), "handle_seconds": .seconds(record.handling),
            "write_seconds": .seconds(record.writing), "total_seconds": .seconds(total),
        ]
        // The problem of a cancelled request was meant for a client that had left.
        if let code = observation.code, record.outcome != .clientGone { fields["code"] = .string(code.rawValue) }
        guard let features = observation.features else { return fields }
        fields["images"] = .integer(features.images)
        fields["decode_seconds"] = .number(features.timings.decode)
        fields["queue_seconds"] = .number(features.timings.queue)
        fields["inference_seconds"] = .number(features.timings.inference)
        if let cache = features.cache { fields["cache"] = .string(cache.source.rawValue) }
        fields["model"] = .string(features.model.name)
        fields["model_version"] = .string(features.model.label)
        return fields
    }
}
