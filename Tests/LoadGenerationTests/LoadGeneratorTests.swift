import Foundation
import HTTPServer
import Synchronization
import TestBench
import Testing

@testable import LoadGeneration

/// A server that lives for a test.
private func withServer<Result: Sendable>(
    _ handler: @escaping Handler, _ body: @Sendable (UInt16) async throws -> Result
) async throws -> Result {
    let server = try Server(configuration: ServerConfiguration(), handler: handler)
    try server.start()
    do {
        let result = try await body(UInt16(server.port))
        await server.stop()
        return result
    } catch {
        await server.stop()
        throw error
    }
}

/// Runs a load on a thread of its own: the server's handlers need those of the cooperative pool.
private func run(_ generator: LoadGenerator, _ load: Load) async throws -> LoadResult {
    try await withCheckedThrowingContinuation { continuation in
        Thread { continuation.resume(with: Result { try generator.run(load) }) }.start()
    }
}

private let request = LoadGenerator.post("/x", type: "text/plain", body: Array("body".utf8))

@Suite("The load generator, against a server", .timeLimit(.minutes(20)))
struct LoadGeneratorTests {
    @Test("Every request of a schedule is sent once and accounted for, with its status and timings")
    func open() async throws {
        let count = Atomic<Int>(0)
        let schedule = ArrivalSchedule(poisson: 1000, duration: 0.2, seed: 3)
        let result = try await withServer { request in
            let number = count.add(1, ordering: .relaxed).newValue
            guard request.bytes == Array("body".utf8) else { return .text("", status: 400) }
            return Response(status: number.isMultiple(of: 2) ? 200 : 503, headers: ["Server-Timing": "queue;dur=2.5"])
        } _: {
            try await run(LoadGenerator(port: $0, request: request), .open(schedule))
        }
        #expect(result.samples.map(\.due).sorted() == schedule.times)
        #expect(result.samples.allSatisfy { $0.due <= $0.sent && $0.sent <= $0.ended })
        #expect(result.samples.allSatisfy { $0.timing?.milliseconds == ["queue": 2.5] })
        let good = result.samples.count { $0.ending == .answered(200) }
        let refused = result.samples.count { $0.ending == .answered(503) }
        #expect(good == schedule.times.count / 2 && good + refused == schedule.times.count)
        #expect(count.load(ordering: .relaxed) == schedule.times.count)
    }

    @Test("A closed load keeps its clients busy and no more, over as many connections; closed ones are opened again")
    func closed() async throws {
        struct Seen {
            var atOnce = 0
            var most = 0
            var total = 0
        }
        let seen = Mutex(Seen())
        let samples = try await withServer { _ in
            let number = seen.withLock { seen in
                seen.atOnce += 1
                seen.total += 1
                seen.most = max(seen.most, seen.atOnce)
                return seen.total
            }
            await Task.yield()
            seen.withLock { $0.atOnce -= 1 }
            return Response(headers: number.isMultiple(of: 5) ? ["Connection": "close"] : [:], body: [1, 2, 3])
        } _: { port in
            // However slow the machine is, the load lasts until connections have been used again and closed.
            var samples: [LoadSample] = []
            while samples.count < 24 {
                let load = Load.closed(clients: 4, duration: 0.1)
                samples += try await run(LoadGenerator(port: port, request: request), load).samples
            }
            return samples
        }
        #expect(samples.allSatisfy { $0.ending == .answered(200) })
        #expect(seen.withLock { $0.total } == samples.count && seen.withLock { $0.most } <= 4)
    }

    @Test("A request that finds no free connection waits, and its latency counts from when it was due")
    func omission() async throws {
        let schedule = ArrivalSchedule(poisson: 2000, duration: 0.05, seed: 1)
        let result = try await withServer { _ in
            try? await Task.sleep(for: .milliseconds(2))
            return Response()
        } _: {
            try await run(LoadGenerator(port: $0, request: request, maximumConnections: 1), .open(schedule))
        }
        #expect(result.samples.count == schedule.times.count)
        #expect(result.samples.map(\.due) == schedule.times)
        // One at a time, each of at least 2 ms: the last has waited for all others. When a single one was sent says less, as
        // the thread that notes it may have to wait for a processor meanwhile.
        #expect(result.samples.last!.latency > 2 * Double(schedule.times.count) - 50)
    }

    @Test("Answers that don't come in time are failures, not waited for")
    func patience() async throws {
        let result = try await withServer { _ in
            try? await Task.sleep(for: .seconds(3600))
            return Response()
        } _: {
            try await run(
                LoadGenerator(port: $0, request: request, maximumConnections: 2, patience: 0.1),
                .closed(clients: 3, duration: 0.05))
        }
        #expect(result.samples.count == 3)
        #expect(result.samples.allSatisfy { if case .failed = $0.ending { true } else { false } })
    }

    @Test("A service that isn't there is an error; a cancelled run ends")
    func errors() async throws {
        let port = try await withServer({ _ in Response() }, { $0 })
        await #expect(throws: LoadError.self) {
            try await run(LoadGenerator(port: port, request: request), .closed(clients: 2, duration: 5))
        }
        // No server is needed: a task that is cancelled already ends before it connects.
        let task = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return try LoadGenerator(port: port, request: request).run(.closed(clients: 1, duration: 3600))
        }
        await #expect(throws: CancellationError.self) { try await task.value }
    }
}
