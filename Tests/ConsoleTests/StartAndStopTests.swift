import Testing

@testable import Console

@Suite("Decisions about starting and stopping")
struct StartAndStopTests {
    private let start = ContinuousClock.now

    @Test(
        "Signals to stop within a second of the first are the same one; a later one means to end at once",
        arguments: [
            ([0], [StopSignals.Meaning.stop]),
            ([0, 0, 999], [.stop, .repetition, .repetition]),
            ([0, 1000], [.stop, .end]),
            // The second counts from the first signal, not from the last.
            ([0, 600, 1200], [.stop, .repetition, .end]),
            ([0, 86_400_000], [.stop, .end]),
        ])
    func signals(milliseconds: [Int], meanings: [StopSignals.Meaning]) {
        var signals = StopSignals()
        #expect(milliseconds.map { signals.receive(at: start + .milliseconds($0)) } == meanings)
    }

    @Test(
        "A start is given up once threads have been refused for half a second without a success in between",
        arguments: [
            ([(0, false), (250, false)], false),
            ([(0, false), (250, false), (500, false)], true),
            ([(0, false), (250, true), (500, false), (750, false)], false),
            ([(0, false), (250, true), (500, false), (1000, false)], true),
            ([(0, true), (10_000, true)], false),
        ])
    func shortage(attempts: [(Int, Bool)], givesUp: Bool) {
        var shortage = ThreadShortage()
        let judgements = attempts.map { shortage.attempted(succeeded: $0.1, at: start + .milliseconds($0.0)) }
        #expect(judgements.dropLast().allSatisfy { !$0 })
        #expect(judgements.last == givesUp)
    }
}
