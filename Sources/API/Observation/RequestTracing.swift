import HTTPServer
import Telemetry

/// What becomes of the traces of a service's requests.
package struct RequestTracing: Sendable {
    let exporter: SpanExporter
    let sampler: TraceSampler

    /// - Parameters:
    ///   - exporter: gets the spans.
    ///   - sampler: decides whether to record traces that begin here. For other traces, the caller has decided.
    package init(exporter: SpanExporter, sampler: TraceSampler) {
        self.exporter = exporter
        self.sampler = sampler
    }

    /// Exports a request's spans. Health checks and scrapes that succeed, which come every few seconds, have some only if their
    /// caller asks for them.
    func ended(_ record: ExchangeRecord, _ observation: RequestObservation) {
        let isUneventful = record.outcome == .completed && record.status < 400
        guard !observation.route.isRoutine || observation.parent != nil || !isUneventful else { return }
        exporter.export(RequestSpans(record, observation, time: CivilTime.now()).all)
    }
}

/// An instant by two clocks: that of durations, and that of the world.
struct CivilTime: Sendable {
    let instant: ContinuousClock.Instant
    /// Nanoseconds since 1970.
    let nanoseconds: UInt64

    static func now() -> CivilTime {
        CivilTime(instant: .now, nanoseconds: Timestamp.nanosecondsSinceEpoch())
    }

    /// Another instant in nanoseconds since 1970. Within a trace, clock changes therefore make no span longer or shorter.
    func nanoseconds(of other: ContinuousClock.Instant) -> UInt64 {
        let (seconds, attoseconds) = other.duration(to: instant).components
        return UInt64(max(0, Int64(nanoseconds) - seconds * 1_000_000_000 - attoseconds / 1_000_000_000))
    }
}
