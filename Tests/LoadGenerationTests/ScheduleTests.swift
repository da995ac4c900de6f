import Testing

@testable import LoadGeneration

@Suite("Schedules and pacing")
struct ScheduleTests {
    @Test("Arrivals are Poisson: the right rate, exponential gaps, the same for the same seed", arguments: [1, 2, 3])
    func poisson(seed: UInt64) {
        let schedule = ArrivalSchedule(poisson: 200, duration: 100, seed: seed)
        #expect(schedule == ArrivalSchedule(poisson: 200, duration: 100, seed: seed))
        #expect(schedule != ArrivalSchedule(poisson: 200, duration: 100, seed: seed + 1))
        #expect(schedule.times.allSatisfy { (0..<100).contains($0) })
        // 20,000 expected; the standard deviation is 141.
        #expect(abs(schedule.times.count - 20_000) < 700)
        let gaps = zip(schedule.times.dropFirst(), schedule.times).map { $0 - $1 }
        #expect(gaps.allSatisfy { $0 >= 0 })
        // Of exponential gaps, exp(-2) are longer than twice the mean, and the coefficient of variation is 1.
        let long = Double(gaps.count { $0 > 0.01 }) / Double(gaps.count)
        #expect(abs(long - 0.1353) < 0.012)
        let mean = gaps.reduce(0, +) / Double(gaps.count)
        let variance = gaps.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(gaps.count)
        #expect(abs(variance.squareRoot() / mean - 1) < 0.04)
    }

    @Test("An open load is due at its times, each once, whatever has ended")
    func openPacing() {
        let schedule = ArrivalSchedule(poisson: 10, duration: 5, seed: 1)
        var pacing = Pacing(.open(schedule))
        let (first, third) = (schedule.times[0], schedule.times[2])
        #expect(pacing.nextTime == first && !pacing.isDue(at: first / 2) && pacing.due(at: first / 2).isEmpty)
        #expect(pacing.isDue(at: first))
        #expect(pacing.due(at: third) == Array(schedule.times[...2]) && pacing.due(at: third).isEmpty)
        pacing.ended(at: third)
        #expect(pacing.due(at: third).isEmpty && pacing.nextTime == schedule.times[3] && !pacing.isOver(at: 4.9))
        #expect(pacing.due(at: 100) == Array(schedule.times[3...]))
        #expect(pacing.isOver(at: 5) && pacing.nextTime == nil)
    }

    @Test("A closed load has no more requests under way than clients, and begins none after its time")
    func closedPacing() {
        var pacing = Pacing(.closed(clients: 3, duration: 1))
        #expect(pacing.due(at: 0) == [0, 0, 0] && pacing.due(at: 0.5).isEmpty && pacing.nextTime == nil)
        pacing.ended(at: 0.5)
        pacing.ended(at: 0.6)
        #expect(pacing.isDue(at: 0.6) && pacing.due(at: 0.6) == [0.5, 0.6] && !pacing.isOver(at: 0.6))
        pacing.ended(at: 1.1)
        #expect(pacing.isOver(at: 1.1) && !pacing.isDue(at: 1.1) && pacing.due(at: 1.1).isEmpty)
    }
}

@Suite("Statistics")
struct StatisticsTests {
    @Test("Percentiles are nearest-rank: measured values, their ranks rounded up")
    func nearestRank() {
        let hundred = Distribution((1...100).map(Double.init).shuffled())
        #expect((hundred.p50, hundred.p95, hundred.p99, hundred.greatest) == (50, 95, 99, 100))
        #expect(hundred.count == 100)
        let five = Distribution([15, 20, 35, 40, 50])
        #expect((five.p50, five.p95, five.p99) == (35, 50, 50))
        let one = Distribution([7])
        #expect((one.p50, one.p95, one.p99, one.greatest) == (7, 7, 7, 7))
        #expect(Distribution([1, 2]).p50 == 1)
        let none = Distribution([])
        #expect((none.count, none.p50, none.p99) == (0, 0, 0) && none.greatest == 0)
    }

    @Test("Latencies count from when a request was due, rates by ends; what comes while settling counts nowhere")
    func summary() {
        let timing = ServerTiming("queue;dur=100, decode;dur=50, inference;dur=200")
        let run = LoadResult(
            samples: [
                LoadSample(due: 1, sent: 1, ended: 1.5, ending: .answered(200), timing: timing),
                LoadSample(due: 1.9, sent: 1.9, ended: 2.5, ending: .answered(200), timing: timing),
                LoadSample(due: 3, sent: 3.2, ended: 3.4, ending: .answered(200), timing: timing),
                LoadSample(due: 4, sent: 4, ended: 4.01, ending: .answered(503)),
                LoadSample(due: 9, sent: 9, ended: 11, ending: .answered(200), timing: timing),
                LoadSample(due: 9, sent: 9, ended: 9, ending: .answered(500)),
                LoadSample(due: 1, sent: 1, ended: 1, ending: .failed("gone")),
            ], duration: 10, processorSeconds: 1)
        let summary = LoadSummary([run], settling: 0.2)
        #expect(summary.offered == 4.0 / 8 && summary.answered == 2.0 / 8 && summary.refusedShare == 0.25)
        #expect(summary.latencies.total.count == 2 && summary.latencies.total.greatest == 2000)
        #expect(abs(summary.latencies.total.p50 - 400) < 1e-9)
        #expect(summary.latencies.queue.p50 == 100 && summary.latencies.decode.p50 == 50)
        #expect(summary.latencies.inference.p50 == 200 && abs(summary.latencies.write.p50 - 50) < 1e-9)
        #expect(abs(summary.refusals.greatest - 10) < 1e-9 && summary.refusals.count == 1)
        #expect(abs(summary.senderDelay.greatest - 200) < 1e-9)
        #expect(summary.failures == ["status 500": 1, "gone": 1] && summary.senderProcessors == 0.1)
        let twice = LoadSummary([run, run], settling: 0.2)
        #expect(twice.answered == summary.answered && twice.latencies.total.count == 4)
    }
}
