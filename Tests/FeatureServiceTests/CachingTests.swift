import Digests
import ImagePipeline
import Networks
import ReverseODE
import Synchronization
import Tensor
import TestBench
import TestFixtures
import Testing

@testable import FeatureService

@Suite("Answers already known", .timeLimit(.minutes(20)))
struct CachingTests {
    let pool = WorkerPool(count: 2)
    let log = EventLog()
    let clock = ManualClock()

    static let images = [
        "rgb-32x32.jpg", "rgb-120x80.png", "gray-77x55.png", "rgba-64x48.png", "palette-100x100.png",
        "exif-orientation-6-90x60.jpg",
    ]

    func image(_ index: Int) throws -> FeatureInput {
        .encoded(try TestFixtures.bytes("images/" + Self.images[index]))
    }

    func service(_ model: ServedModel, cacheBytes: Int = 1 << 20) async -> FeatureService {
        var configuration = FeatureServiceConfiguration()
        configuration.batchLimit = 4
        configuration.cacheBytes = cacheBytes
        configuration.queueLimit = 256
        let service = FeatureService(
            configuration: configuration, kernels: .best, pool: pool, events: log.events,
            clock: { [clock] in clock.now })
        await service.activate(model)
        return service
    }

    /// Every number of an answer, so that answers compare bit by bit.
    private func bits(_ features: ImageFeatures) -> [UInt32] {
        (features.values + [features.logits ?? []]).flatMap { $0.map(\.bitPattern) }
    }

    private func bits(_ response: FeatureResponse) throws -> [[UInt32]] {
        try response.results.map { bits(try $0.get()) }
    }

    private func requests(_ model: ServedModel) -> [FeatureRequest] {
        let end = Tap(time: .end, place: .pooled)
        let middle = Tap(time: .at(model.model.grid.times[1]), place: .activation(ActivationMeans(.middle)))
        return [
            FeatureRequest(), FeatureRequest(taps: [end, middle]), FeatureRequest(taps: [middle, end]),
            FeatureRequest(taps: [], wantsLogits: true), FeatureRequest(taps: [end], wantsLogits: true),
        ]
    }

    @Test("An answer given again has the bits of one computed without a cache, whatever is asked for")
    func exactness() async throws {
        let model = try TinyModel.make(pool: pool)
        let plain = await service(model, cacheBytes: 0)
        let caching = await service(model)
        for source in [AnswerSource.miss, .hit] {
            for (index, request) in requests(model).enumerated() {
                let inputs = [try image(index), try image(0)]
                let expected = try await plain.features(of: inputs, request)
                let found = try await caching.features(of: inputs, request)
                #expect(try bits(found) == bits(expected))
                #expect(found.sources == (index == 0 && source == .miss ? [.miss, .shared] : [source, source]))
                #expect(expected.sources.isEmpty)
                for (a, b) in zip(found.results, expected.results) {
                    #expect(try a.get().taps == b.get().taps && a.get().logits?.count == b.get().logits?.count)
                }
            }
        }
        #expect(log.count("miss") == 9 && log.count("shared") == 1 && log.count("hit") == 10)
        #expect(await caching.status().cachedBytes > 0)
        #expect(await plain.status().cachedBytes == 0)
    }

    @Test("The key tells apart all that an answer depends on, and accounts for at least what is held")
    func keys() throws {
        let model = try TinyModel.make(pool: pool)
        let other = try TinyModel.make(seed: 2, pool: pool)
        let digests = try (0...1).map { SHA256.hash(try TestFixtures.bytes("images/" + Self.images[$0])) }
        var keys: Set<AnswerKey> = []
        for served in [model, other] {
            for request in requests(model) {
                let plan = try RequestPlan(request, served: served)
                for digest in digests {
                    for mode in DecodingMode.allCases { keys.insert(plan.key(of: digest, decoding: mode)) }
                }
            }
        }
        #expect(keys.count == 2 * 5 * 2 * 2)
        let plan = try RequestPlan(FeatureRequest(taps: nil), served: model)
        let features = ImageFeatures(taps: plan.taps, values: [[Float](repeating: 0, count: 768)], logits: [1, 2, 3])
        let key = plan.key(of: digests[0], decoding: .exact)
        #expect(key.heapBytes(with: features) >= 32 + 771 * 4 + MemoryLayout<ResolvedTap>.stride)
    }

    @Test("Identical images under way are computed once, in one request and in many")
    func sharing() async throws {
        let model = try TinyModel.make(pool: pool)
        let service = await service(model)
        let inputs = [try image(0), try image(1), try image(0)]
        let hold = await WorkerPoolHold(of: pool)
        let tasks = (0..<30).map { _ in Task { try await service.features(of: inputs, FeatureRequest()) } }
        #expect(await eventually { log.count("miss") + log.count("shared") + log.count("hit") == 90 })
        hold.release()
        var responses: [FeatureResponse] = []
        for task in tasks { responses.append(try await task.value) }
        #expect(log.count("completed") == 2 && log.count("miss") == 2 && log.count("shared") == 88)
        let answers = try Set(responses.map { try bits($0) })
        #expect(answers.count == 1 && answers.first?[0] == answers.first?[2] && answers.first?[0] != answers.first?[1])
        await service.waitUntilIdle()
    }

    @Test("Without a cache nothing is shared")
    func off() async throws {
        let service = await service(try TinyModel.make(pool: pool), cacheBytes: 0)
        let input = try image(0)
        let response = try await service.features(of: [input, input, input], FeatureRequest())
        #expect(log.count("completed") == 3 && response.sources.isEmpty && log.count("miss") == 0)
    }

    /// A request whose image is in flight, and three more that wait for the same image; held there.
    private func sharedImage(
        _ service: FeatureService, firstRequest: FeatureRequest = FeatureRequest()
    ) async throws -> (hold: WorkerPoolHold, tasks: [Task<FeatureResponse, any Error>]) {
        let input = try image(0)
        let hold = await WorkerPoolHold(of: pool)
        let first = Task { try await service.features(of: [input], firstRequest) }
        #expect(await eventually { await service.status().inFlight == 1 })
        let others = (0..<3).map { _ in Task { try await service.features(of: [input], FeatureRequest()) } }
        #expect(await eventually { log.count("shared") == 3 })
        return (hold, [first] + others)
    }

    @Test("When the first who asked leaves, the others get their answer")
    func departure() async throws {
        let model = try TinyModel.make(pool: pool)
        let truth = try bits(await service(model, cacheBytes: 0).features(of: [try image(0)], FeatureRequest()))
        let service = await service(model)
        let (hold, tasks) = try await sharedImage(service)
        tasks[0].cancel()
        await #expect(throws: FeatureServiceError.cancelled) { try await tasks[0].value }
        hold.release()
        for task in tasks.dropFirst() { #expect(try bits(await task.value) == truth) }
        await service.waitUntilIdle()
        #expect(log.count("abandoned") == 1 && log.count("completed") == 2, "the plain service's and this one's")
    }

    @Test("When all who asked leave, the work is dropped")
    func departures() async throws {
        let service = await service(try TinyModel.make(pool: pool))
        let (hold, tasks) = try await sharedImage(service)
        for task in tasks { task.cancel() }
        for task in tasks { await #expect(throws: FeatureServiceError.cancelled) { try await task.value } }
        let status = await service.status()
        #expect(status.waiting == 0 && status.inFlight == 0)
        hold.release()
        await service.waitUntilIdle()
        #expect(log.count("abandoned") == 4 && log.count("completed") == 0)
        #expect(await service.status().cachedBytes == 0)
    }

    @Test("A deadline ends its own request only")
    func deadlines() async throws {
        let model = try TinyModel.make(pool: pool)
        let truth = try bits(await service(model, cacheBytes: 0).features(of: [try image(0)], FeatureRequest()))
        let service = await service(model)
        let (hold, tasks) = try await sharedImage(
            service, firstRequest: FeatureRequest(deadline: clock.now + .seconds(1)))
        clock.advance(by: .seconds(1))
        hold.release()
        await #expect(throws: FeatureServiceError.deadlineExceeded) { try await tasks[0].value }
        for task in tasks.dropFirst() { #expect(try bits(await task.value) == truth) }
        #expect(log.count("expired") == 1)
    }

    @Test("Failures reach everyone who waits and are not kept")
    func failures() async throws {
        let service = await service(try TinyModel.make(pool: pool))
        let bad = FeatureInput.encoded(Array("no image".utf8))
        let failed = await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<10 {
                group.addTask {
                    let response = try? await service.features(of: [bad, bad], FeatureRequest())
                    return response?.results.allSatisfy { if case .failure(.image) = $0 { true } else { false } }
                        == true
                }
            }
            return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        #expect(failed == 10 && log.count("hit") == 0 && log.count("miss") + log.count("shared") == 20)
        await service.waitUntilIdle()

        let overflowing = await self.service(try TinyModel.make(gain: 1e30, pool: pool))
        for _ in 0..<2 {
            let response = try await overflowing.features(of: [image(0)], FeatureRequest())
            #expect(throws: ImageFailure.notFinite) { try response.results[0].get() }
            #expect(response.sources == [.miss])
        }
        for service in [service, overflowing] { #expect(await service.status().cachedBytes == 0) }
    }

    @Test(
        "A swap drops what the old model answered, what it still has in flight included; a reload of the same keeps it")
    func swaps() async throws {
        let models = try (1...2).map { try TinyModel.make(seed: UInt64($0), pool: pool) }
        let service = await service(models[0])
        let input = try image(0)
        let first = try await service.features(of: [input], FeatureRequest())
        await service.activate(try TinyModel.make(seed: 1, pool: pool))
        let again = try await service.features(of: [input], FeatureRequest())
        #expect(again.sources == [.hit])
        #expect(try bits(again) == bits(first))

        let other = try image(1)
        let hold = await WorkerPoolHold(of: pool)
        let late = Task { try await service.features(of: [other], FeatureRequest()) }
        #expect(await eventually { await service.status().inFlight == 1 })
        await service.activate(models[1])
        hold.release()
        #expect(await service.status().cachedBytes == 0)
        #expect(try await late.value.served.version == models[0].version)
        #expect(await service.status().cachedBytes == 0)
        let swapped = try await service.features(of: [input, other], FeatureRequest())
        #expect(swapped.sources == [.miss, .miss] && swapped.served.version == models[1].version)
        #expect(try bits(swapped)[0] != bits(first)[0])
        await service.waitUntilIdle()
    }

    @Test("A small cache under many requests that come and go, while models are swapped, never gives a wrong bit")
    func concurrency() async throws {
        let models = try (1...2).map { try TinyModel.make(seed: UInt64($0), pool: pool) }
        let plain = await service(models[0], cacheBytes: 0)
        var truth: [String: [[UInt32]]] = [:]
        for model in models {
            await plain.activate(model)
            for (which, request) in requests(model).enumerated() {
                let inputs = try Self.images.indices.map { try image($0) }
                truth["\(model.version.sha256) \(which)"] = try bits(await plain.features(of: inputs, request))
            }
        }
        let service = await service(models[0], cacheBytes: 20_000)
        let expected = truth
        let inputs = try Self.images.indices.map { try image($0) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for worker in 0..<8 {
                group.addTask {
                    var random = SeededGenerator(seed: UInt64(worker))
                    for _ in 0..<20 {
                        let picks = (0...Int(random.next() % 3)).map { _ in Int(random.next() % 6) }
                        let which = Int(random.next() % 5)
                        let request = self.requests(models[0])[which]
                        let task = Task { try await service.features(of: picks.map { inputs[$0] }, request) }
                        let leaves = random.next() % 4 == 0
                        if leaves { task.cancel() }
                        do {
                            let response = try await task.value
                            let answers = try #require(expected["\(response.served.version.sha256) \(which)"])
                            #expect(try self.bits(response) == picks.map { answers[$0] })
                        } catch FeatureServiceError.cancelled where leaves {
                            // It left before its answer.
                        }
                    }
                }
            }
            for n in 0..<10 {
                while log.count("miss") + log.count("hit") + log.count("shared") < 10 * (n + 1) { await Task.yield() }
                await service.activate(models[n % 2])
            }
            try await group.waitForAll()
        }
        await service.waitUntilIdle()
        let status = await service.status()
        #expect(status.waiting == 0 && status.inFlight == 0 && status.cachedBytes <= 20_000)
        #expect(log.count("hit") > 0)
    }
}
