import FeatureService
import HTTPServer
import Telemetry

/// The spans of a request that has ended: one for all of it, and one for each stage and evaluation.
///
/// The attributes of HTTP have the names of OpenTelemetry's semantic conventions. Others begin with `headwater.`.
struct RequestSpans {
    private let record: ExchangeRecord
    private let observation: RequestObservation
    private let time: CivilTime

    init(_ record: ExchangeRecord, _ observation: RequestObservation, time: CivilTime) {
        self.record = record
        self.observation = observation
        self.time = time
    }

    var all: [Span] {
        let start = record.ended - record.receiving - record.handling - record.writing
        var spans = [server(start..<record.ended), stage("receive", start..<start + record.receiving)]
        for trace in observation.traces { spans += stages(of: trace) }
        spans.append(stage("write", record.ended - record.writing..<record.ended))
        return spans
    }

    private func stages(of trace: FeatureTrace) -> [Span] {
        var spans: [Span] = []
        if let interval = trace.decode { spans.append(stage("decode", interval)) }
        if let interval = trace.queue { spans.append(stage("queue", interval)) }
        guard let interval = trace.inference else { return spans }
        let inference = stage("inference", interval, ["headwater.evaluations": .integer(trace.stepCount)])
        let evaluations = trace.steps.map { step in
            stage(
                "evaluation", step.interval,
                ["headwater.batch.images": .integer(step.images), "headwater.request.images": .integer(step.own)],
                in: inference.context)
        }
        return spans + [inference] + evaluations
    }

    private func stage(
        _ name: String, _ interval: FeatureTrace.Interval, _ attributes: LogFields = [:], in parent: TraceContext? = nil
    ) -> Span {
        Span(
            name, observation.trace.child(), parent: .init(parent ?? observation.trace, isRemote: false),
            start: time.nanoseconds(of: interval.lowerBound), end: time.nanoseconds(of: interval.upperBound),
            attributes: attributes)
    }

    // MARK: The request

    private func server(_ interval: FeatureTrace.Interval) -> Span {
        Span(
            name, observation.trace, parent: observation.parent.map { .init($0, isRemote: true) }, kind: .server,
            start: time.nanoseconds(of: interval.lowerBound), end: time.nanoseconds(of: interval.upperBound),
            attributes: attributes, failure: failure)
    }

    /// The methods of HTTP. Others could have any number of names.
    private static let methods: Set<String> = [
        "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
    ]

    private var isKnownMethod: Bool { Self.methods.contains(record.method) }

    private var name: String {
        let method = isKnownMethod ? record.method : "HTTP"
        return observation.path == nil ? method : "\(method) \(observation.route.path)"
    }

    /// What failed here. A request that is refused for its own fault has not failed.
    private var failure: String? {
        if record.outcome != .completed { return record.outcome.rawValue }
        guard record.status >= 500 else { return nil }
        return observation.code?.rawValue ?? "\(record.status)"
    }

    private var attributes: LogFields {
        var fields: LogFields = [
            "http.request.method": .string(isKnownMethod ? record.method : "_OTHER"),
            "url.scheme": .string(record.isEncrypted ? "https" : "http"),
            "client.address": .string(record.remoteAddress),
            "http.request.body.size": .integer(record.requestBytes),
            "http.response.body.size": .integer(record.responseBytes),
            "headwater.request.id": .string(observation.id.description),
        ]
        if let path = observation.path {
            fields["url.path"] = .string(path)
            fields["http.route"] = .string(observation.route.path)
        }
        // 0 stands for no answer.
        if record.status != 0 { fields["http.response.status_code"] = .integer(record.status) }
        if let failure { fields["error.type"] = .string(failure) }
        if let code = observation.code { fields["headwater.problem"] = .string(code.rawValue) }
        guard let features = observation.features else { return fields }
        fields["headwater.images"] = .integer(features.images)
        fields["headwater.model.name"] = .string(features.model.name)
        fields["headwater.model.version"] = .string(features.model.label)
        if let cache = features.cache { fields["headwater.cache"] = .string(cache.source.rawValue) }
        return fields
    }
}
