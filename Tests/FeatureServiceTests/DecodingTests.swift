import Dispatch
import Tensor
import TestBench
import TestFixtures
import Testing

@testable import FeatureService

@Suite("Requests whose images wait to be decoded", .timeLimit(.minutes(20)))
struct DecodingTests {
    private let log = EventLog()
    private let pool = WorkerPool(count: 1)
    private let clock = ManualClock()

    /// A service whose only decoder is at work until `release` is called.
    private func busyService() async throws -> (service: FeatureService, release: @Sendable () -> Void) {
        let decoders = BlockingPool(width: 1)
        let (begun, end) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
        Task {
            await decoders.run {
                begun.signal()
                end.wait()
            }
        }
        await withCheckedContinuation { continuation in
            DispatchQueue.global().async {
                begun.wait()
                continuation.resume()
            }
        }
        var configuration = FeatureServiceConfiguration()
        configuration.queueLimit = 4
        let service = FeatureService(
            configuration: configuration, kernels: .best, pool: pool, events: log.events, decoders: decoders,
            clock: { [clock] in clock.now })
        await service.activate(try TinyModel.make(pool: pool))
        return (service, { end.signal() })
    }

    private func images(_ count: Int) throws -> [FeatureInput] {
        let bytes = try TestFixtures.bytes("images/rgb-32x32.jpg")
        return (0..<count).map { _ in .encoded(bytes) }
    }

    @Test("A client that leaves is let go at once, and its images make room for others'")
    func departure() async throws {
        let (service, release) = try await busyService()
        let images = try images(4)
        let task = Task { try await service.features(of: images, FeatureRequest()) }
        #expect(await eventually { await service.status().waiting == 4 })
        task.cancel()
        await #expect(throws: FeatureServiceError.cancelled) { try await task.value }
        #expect(await service.status().waiting == 0 && log.count("abandoned") == 1)

        // Pixels that are there already need no decoder.
        let response = try await service.features(of: [.normalized(TinyModel.input(0))], FeatureRequest())
        #expect(response.results.count == 1)
        release()
        #expect(try await service.features(of: [images[0]], FeatureRequest()).results.count == 1)
        await service.waitUntilIdle()
        #expect(log.count("completed") == 2, "what was withdrawn is not computed")
    }

    @Test("A deadline holds while images wait for a decoder")
    func deadline() async throws {
        let (service, release) = try await busyService()
        defer { release() }
        let images = try images(3)
        let deadline = clock.now + .seconds(1)
        let late = Task { try await service.features(of: images, FeatureRequest(deadline: deadline)) }
        #expect(await eventually { await service.status().waiting == 3 })
        func evaluate() async throws {
            _ = try await service.features(of: [.normalized(TinyModel.input(0))], FeatureRequest())
        }
        try await evaluate()
        #expect(log.count("expired") == 0)
        clock.advance(by: .seconds(1))
        try await evaluate()
        await #expect(throws: FeatureServiceError.deadlineExceeded) { try await late.value }
        #expect(await service.status().waiting == 0)
    }
}
