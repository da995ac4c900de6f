import Machine
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

    @Test("Denormal numbers are zero in a section, on every worker, and as before afterwards", arguments: [1, 3])
    func denormals(count: Int) {
        @inline(never) func half(of x: Float) -> Float { x / 2 }
        let pool = WorkerPool(count: count)
        let smallest = Float.leastNormalMagnitude
        let results = Mutex<[Float]>([])
        pool.run { _ in
            let result = half(of: smallest)
            results.withLock { $0.append(result) }
        }
        #expect(results.withLock { $0 } == Array(repeating: 0, count: count))
        #expect(half(of: smallest) > 0)
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
        "Workers stay on the processors of their group, and the threads are free again after them",
        .enabled(if: ProcessorBudget.available() > 1, "one processor is one group"))
    func affinity() throws {
        let processors = CacheDomains.available().processors.flatMap(\.self).sorted()
        let domains = CacheDomains(processors: [Array(processors.dropLast()), [processors.last!]])
        let pool = WorkerPool(count: 2, domains: domains)
        let seen = Mutex<[Int: [Int]]>([:])
        pool.run { worker in seen.withLock { $0[worker] = CacheDomains.available().processors.flatMap(\.self) } }
        #expect(seen.withLock { $0[1] } == [processors.last!])
        domains.keepThread(as: 1, of: 2) {}
        #expect(CacheDomains.available().processors.flatMap(\.self).sorted() == processors)
    }
}

private final class Counter: Sendable { let value = Atomic<Int>(0) }
