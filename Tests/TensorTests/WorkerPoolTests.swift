import Synchronization
import Testing

@testable import Tensor

@Suite("Worker pool")
struct WorkerPoolTests {
    @Test("Every worker runs each section exactly once, however many sections follow each other", arguments: 1...5)
    func sections(count: Int) {
        let pool = WorkerPool(count: count)
        let calls = (0..<count).map { _ in Counter() }
        for _ in 0..<2_000 { pool.run { calls[$0].value.add(1, ordering: .relaxed) } }
        for call in calls { #expect(call.value.load(ordering: .relaxed) == 2_000) }
    }

    @Test("Sections started by several threads take turns")
    func severalCallers() async {
        let pool = WorkerPool(count: 3)
        let inside = Counter()
        let worst = Counter()
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<4 {
                group.addTask {
                    for _ in 0..<200 {
                        pool.run { _ in
                            let now = inside.value.add(1, ordering: .sequentiallyConsistent).newValue
                            if now > worst.value.load(ordering: .relaxed) {
                                worst.value.store(now, ordering: .relaxed)
                            }
                            inside.value.subtract(1, ordering: .sequentiallyConsistent)
                        }
                    }
                }
            }
        }
        #expect(worst.value.load(ordering: .relaxed) <= 3)
    }

    @Test("Parts cover everything once and differ by at most one")
    func parts() {
        for total in 0...40 {
            for parts in 1...7 {
                let ranges = (0..<parts).map { WorkerPool.part($0, of: parts, total: total) }
                #expect(ranges.flatMap { Array($0) } == Array(0..<total))
                #expect(ranges.map(\.count).max()! - ranges.map(\.count).min()! <= 1)
            }
        }
    }

    @Test(
        "The budget is the smaller of the affinity and the tightest quota, never below one",
        arguments: [
            (8, [], 8), (8, ["max 100000"], 8), (8, ["250000 100000"], 2), (8, ["50000 100000"], 1),
            (2, ["400000 100000"], 2), (8, ["garbage", "-1 100000", "300000 100000", "600000 100000"], 3),
        ] as [(Int, [String], Int)])
    func budget(affinity: Int, quotas: [String], expected: Int) {
        let parsed = quotas.compactMap(ProcessorBudget.quota(cpuMax:))
        #expect(ProcessorBudget.workers(affinity: affinity, quotas: parsed) == expected)
        #expect(ProcessorBudget.available() >= 1)
    }
}

private final class Counter: Sendable { let value = Atomic<Int>(0) }
