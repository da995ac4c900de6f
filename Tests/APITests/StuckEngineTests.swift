import Foundation
import Synchronization
import Tensor
import TestBench
import Testing

@testable import API

/// The time, which a test moves forward.
private final class TestClock: Sendable {
    private let ahead = Mutex(Duration.zero)

    var now: ContinuousClock.Instant { ContinuousClock.now + ahead.withLock { $0 } }

    func advance(by duration: Duration) { ahead.withLock { $0 += duration } }
}

/// Holds a worker pool in a section that doesn't end before it is told to, as a kernel that hangs would.
private final class Hang: Sendable {
    private let isHanging = Atomic<Bool>(false)
    private let end = DispatchSemaphore(value: 0)

    /// Returns when the pool hangs.
    func begin(_ pool: WorkerPool) async {
        Thread { [self] in
            pool.run { worker in
                guard worker == 0 else { return }
                isHanging.store(true, ordering: .sequentiallyConsistent)
                end.wait()
            }
        }.start()
        _ = await eventually { isHanging.load(ordering: .sequentiallyConsistent) }
    }

    func release() { end.signal() }
}

@Suite("An engine that hangs", .timeLimit(.minutes(20)))
struct StuckEngineTests {
    @Test("After a minute with work and no progress live and ready turn 503; when it goes on, all is well again")
    func stuck() async throws {
        let (clock, hang, pool) = (TestClock(), Hang(), WorkerPool(count: 2))
        try await TestService.run {
            $0.pool = pool
            $0.clock = { clock.now }
        } _: { service async throws in
            await hang.begin(pool)
            clock.advance(by: .seconds(120))
            #expect(try await service.client.get("/health/live").status == 200, "without work it can't be stuck")
            let image = try sampleImage()
            async let answer = service.client.post("/embed", image, headers: ["X-Request-Timeout": "600"])
            #expect(await eventually { await service.service.status().inFlight == 1 })
            clock.advance(by: .seconds(30))
            #expect(try await service.client.get("/health/live").status == 200, "a step may take its time")
            clock.advance(by: .seconds(31))
            for client in [service.client, service.admin] {
                for path in ["/health/live", "/health/ready"] {
                    let health = try await client.get(path)
                    #expect(health.status == 503 && health.code == "stuck" && health["Retry-After"] != nil)
                }
                #expect(try await client.get("/health/startup").status == 200)
            }
            hang.release()
            #expect(try await answer.status == 200)
            #expect(try await service.client.get("/health/live").status == 200)
            #expect(try await service.client.get("/health/ready").status == 200)
        }
    }
}
