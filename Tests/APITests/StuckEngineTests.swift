import Tensor
import TestBench
import Testing

@testable import API

@Suite("An engine that hangs", .timeLimit(.minutes(20)))
struct StuckEngineTests {
    @Test("After a minute with work and no progress live and ready turn 503; when it goes on, all is well again")
    func stuck() async throws {
        let (clock, pool) = (ManualClock(), WorkerPool(count: 2))
        try await TestService.run {
            $0.pool = pool
            $0.clock = { clock.now }
        } _: { service async throws in
            let hold = await WorkerPoolHold(of: pool)
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
            hold.release()
            #expect(try await answer.status == 200)
            #expect(try await service.client.get("/health/live").status == 200)
            #expect(try await service.client.get("/health/ready").status == 200)
        }
    }
}
