import Testing

@testable import FeatureService

@Suite("When the work of a request was done")
struct FeatureTraceTests {
    private let start = ContinuousClock.now

    private func time(_ seconds: Int) -> ContinuousClock.Instant { start + .seconds(seconds) }

    @Test("A stage lasts from its first image's beginning to its last image's end")
    func stages() {
        var trace = FeatureTrace()
        #expect(trace.queue == nil)
        trace.queued(from: time(2), to: time(3))
        trace.queued(from: time(1), to: time(2))
        trace.queued(from: time(2), to: time(5))
        #expect(trace.queue == time(1)..<time(5))
        trace.decoded(from: time(4), to: time(3))
        #expect(trace.decode == time(4)..<time(4), "a clock that goes back makes nothing end before it begins")
    }

    @Test("All steps are counted, and the first ones listed")
    func steps() {
        var trace = FeatureTrace()
        let count = FeatureTrace.maximumSteps + 10
        for step in 0..<count { trace.stepped(from: time(step), to: time(step + 1), images: 8, own: 2) }
        #expect(trace.stepCount == count && trace.steps.count == FeatureTrace.maximumSteps)
        #expect(trace.steps[1] == .init(interval: time(1)..<time(2), images: 8, own: 2))
    }
}
