/// Decides which traces are recorded. What a caller has decided for its trace counts; only a new trace is this one's to decide.
package struct TraceSampler: Sendable, Equatable {
    /// New traces whose random part is at least so large are recorded.
    private let threshold: UInt64

    /// - Parameter ratio: the share of new traces to record, 0 to 1.
    package init(ratio: Double) {
        precondition((0...1).contains(ratio))
        threshold = UInt64(((1 - ratio) * Double(TraceContext.randomValues)).rounded())
    }

    /// Whether a new trace is recorded. The trace's id decides, so that every service with the same ratio decides alike: the
    /// rule is that of OpenTelemetry's consistent probability sampling.
    func records(_ trace: TraceContext) -> Bool { trace.randomness >= threshold }
}
