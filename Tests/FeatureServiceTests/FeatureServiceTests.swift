import ImagePipeline
import Networks
import ReverseODE
import Synchronization
import Tensor
import TestBench
import TestFixtures
import Testing

@testable import FeatureService

/// Counts what the service reports.
final class EventLog: Sendable {
    let counts = Mutex<[String: Int]>([:])
    let batches = Mutex<[Int]>([])

    func count(_ name: String) -> Int { counts.withLock { $0[name] ?? 0 } }

    var events: ServiceEvents {
        var events = ServiceEvents()
        func note(_ name: String) -> @Sendable () -> Void { { self.counts.withLock { $0[name, default: 0] += 1 } } }
        events.stepped = { batch, _ in self.batches.withLock { $0.append(batch) } }
        events.rejected = { _ in self.counts.withLock { $0["rejected", default: 0] += 1 } }
        events.expired = note("expired")
        events.abandoned = note("abandoned")
        events.notFinite = note("notFinite")
        events.completed = note("completed")
        events.answered = { source in self.counts.withLock { $0[source.rawValue, default: 0] += 1 } }
        return events
    }
}

final class Flag: Sendable { let value = Atomic<Bool>(false) }

@Suite("Feature service")
struct FeatureServiceTests {
    let pool = WorkerPool(count: 2)
    let log = EventLog()
    let clock = ManualClock()

    func service(
        queueLimit: Int = 256, batchLimit: Int = 4, model: ServedModel? = nil
    ) async throws -> FeatureService {
        var configuration = FeatureServiceConfiguration()
        configuration.queueLimit = queueLimit
        configuration.batchLimit = batchLimit
        let service = FeatureService(
            configuration: configuration, kernels: .best, pool: pool, events: log.events,
            clock: { [clock] in clock.now })
        await service.activate(try model ?? TinyModel.make(pool: pool))
        return service
    }

    /// Asks for the default features of an image of its own for each number.
    func ask(
        _ service: FeatureService, _ numbers: Range<Int>
    ) -> [Task<FeatureResponse, any Error>] {
        numbers.map { n in
            Task { try await service.features(of: [.normalized(TinyModel.input(UInt64(n)))], FeatureRequest()) }
        }
    }

    func value(_ response: FeatureResponse, _ index: Int = 0) throws -> [Float] {
        try response.results[index].get().values[0]
    }

    @Test("The rest of a batch does not matter: alone, among many, joining mid-flight, the same bits")
    func otherImages() async throws {
        let service = try await service()
        let alone = try value(try await service.features(of: [.normalized(TinyModel.input(0))], FeatureRequest()))
        let stepsAlone = log.batches.withLock { $0.count }
        // Its first step lasts until all the others have come.
        let hold = await WorkerPoolHold(of: pool)
        let first = ask(service, 0..<1)[0]
        #expect(await eventually { await service.status().inFlight == 1 })
        async let release: Void = {
            // 40 requests, of which a third has one image, a third two, a third three.
            #expect(
                await eventually {
                    let status = await service.status()
                    return status.waiting == 79 && status.decoding == 0
                })
            hold.release()
        }()
        let crowded = try await withThrowingTaskGroup(of: [Float].self) { group in
            for n in 0..<40 {
                group.addTask {
                    let seed = UInt64(n % 5)
                    let inputs = (0...(n % 3)).map { FeatureInput.normalized(TinyModel.input($0 == 0 ? seed : 99)) }
                    return try await self.value(service.features(of: inputs, FeatureRequest()))
                }
            }
            return try await group.reduce(into: [[Float]]()) { $0.append($1) }
        }
        await release
        #expect(
            try value(await first.value).map(\.bitPattern) == alone.map(\.bitPattern), "joined by others on its way")
        #expect(crowded.filter { $0.map(\.bitPattern) == alone.map(\.bitPattern) }.count == 8)
        #expect(Set(crowded).count == 5)
        let batches = log.batches.withLock { Array($0.dropFirst(stepsAlone)) }
        #expect(batches[0] == 1 && batches.max() == 4 && batches[1...3].contains { $0 > 1 }, "\(batches)")
        let status = await service.status()
        #expect(status.waiting == 0 && status.inFlight == 0 && status.isReady && status.isLive)
    }

    @Test("One bad image spoils nothing but its own place")
    func badImage() async throws {
        let service = try await service()
        let inputs: [FeatureInput] = [
            .encoded(try TestFixtures.bytes("images/rgb-32x32.jpg")), .encoded(Array("no image".utf8)),
            .normalized([1, 2, 3]), .encoded(try TestFixtures.bytes("images/rgba-64x48.png")),
        ]
        let response = try await service.features(of: inputs, FeatureRequest(wantsLogits: true))
        #expect(try response.results[0].get().logits?.count == 3)
        #expect(try response.results[3].get().logits?.count == 3)
        guard case .failure(.image(let error)) = response.results[1] else {
            Issue.record("bad bytes were served")
            return
        }
        #expect(error.kind == .unrecognised)
        #expect(throws: ImageFailure.inputCount(found: 3, expected: 768)) { try response.results[2].get() }
    }

    @Test("A full queue refuses at once and says when to come again; nothing stays behind")
    func overload() async throws {
        let service = try await service(queueLimit: 6, batchLimit: 1)
        let hold = await WorkerPoolHold(of: pool)
        let first = ask(service, 0..<1)
        #expect(await eventually { await service.status().inFlight == 1 })
        let others = ask(service, 1..<60)
        #expect(await eventually { log.count("rejected") == 53 })
        hold.release()
        var refused = 0
        for task in first + others {
            switch await task.result {
            case .success(let response): #expect(try response.results[0].get().values[0].count == 768)
            case .failure(let error):
                // Nothing has been computed yet, so that no rate is known.
                #expect(error as? FeatureServiceError == .overloaded(retryAfter: 1))
                refused += 1
            }
        }
        #expect(refused == 53 && log.count("rejected") == 53 && log.count("completed") == 7)
        #expect(await service.status().waiting == 0 && service.refusal() == nil)
    }

    @Test("Whether the queue is full is known without waiting for the service's turn, and counts as a refusal")
    func fullQueue() async throws {
        let service = try await service(queueLimit: 2, batchLimit: 1)
        let hold = await WorkerPoolHold(of: pool)
        let first = ask(service, 0..<1)
        #expect(await eventually { await service.status().inFlight == 1 })
        #expect(service.refusal() == nil)
        let others = ask(service, 1..<3)
        #expect(await eventually { await service.status().waiting == 2 })
        #expect(service.refusal() == .overloaded(retryAfter: 1))
        #expect(log.count("rejected") == 1)
        for request in first + others { request.cancel() }
        #expect(await eventually { service.refusal() == nil })
        hold.release()
        await service.waitUntilIdle()
        #expect(service.refusal() == nil && log.count("completed") == 0)
    }

    @Test("More images than the queue holds are served if none wait; the past is too late")
    func extremes() async throws {
        let service = try await service(queueLimit: 4)
        let five = (0..<5).map { FeatureInput.normalized(TinyModel.input(UInt64($0))) }
        #expect(try await service.features(of: five, FeatureRequest()).results.count == 5)
        await #expect(throws: FeatureServiceError.deadlineExceeded) {
            try await service.features(of: [five[0]], FeatureRequest(deadline: clock.now))
        }
        #expect(log.count("expired") == 1 && log.count("completed") == 5)
        await service.waitUntilIdle()
    }

    @Test("A deadline that passes in the queue or between two steps ends its request, and no other")
    func deadlines() async throws {
        let service = try await service(batchLimit: 2)
        let hold = await WorkerPoolHold(of: pool)
        // The first is in flight, the others wait.
        let limits: [Duration] = [.seconds(10), .seconds(20), .seconds(10), .seconds(20)]
        var tasks: [Task<FeatureResponse, any Error>] = []
        for (n, limit) in limits.enumerated() {
            let request = FeatureRequest(deadline: clock.now + limit)
            tasks.append(Task { try await service.features(of: [.normalized(TinyModel.input(UInt64(n)))], request) })
            #expect(
                await eventually {
                    let status = await service.status()
                    return status.inFlight + status.waiting == n + 1
                })
        }
        clock.advance(by: .seconds(10))
        hold.release()
        for n in [0, 2] {
            await #expect(throws: FeatureServiceError.deadlineExceeded) { try await tasks[n].value }
        }
        for n in [1, 3] { #expect(try await tasks[n].value.results.count == 1) }
        #expect(log.count("expired") == 2 && log.count("completed") == 2)
        await service.waitUntilIdle()
    }

    @Test("A client that has gone takes its images out of the queue and the batch")
    func cancellation() async throws {
        let service = try await service(batchLimit: 2)
        let hold = await WorkerPoolHold(of: pool)
        let tasks = ask(service, 0..<20)
        #expect(
            await eventually {
                let status = await service.status()
                return status.inFlight >= 1 && status.inFlight + status.waiting == 20
            })
        for task in tasks { task.cancel() }
        for task in tasks {
            await #expect(throws: FeatureServiceError.cancelled) { try await task.value }
        }
        let status = await service.status()
        #expect(status.waiting == 0 && status.inFlight == 0, "at once, not only after the step under way")
        hold.release()
        await service.waitUntilIdle()
        #expect(log.count("abandoned") == 20 && log.count("completed") == 0)
    }

    @Test("A request for one evaluation is answered before the long passes that fill the batch, which are answered too")
    func shortAmongLong() async throws {
        // A time that never stands still, so that traces tell what came first.
        let start = ContinuousClock.now
        let reads = Atomic<Int>(0)
        let hurried: @Sendable () -> ContinuousClock.Instant = {
            start + .nanoseconds(reads.add(1, ordering: .relaxed).newValue)
        }
        var configuration = FeatureServiceConfiguration()
        configuration.batchLimit = 4
        let service = FeatureService(
            configuration: configuration, kernels: .best, pool: pool, events: log.events, clock: hurried)
        await service.activate(try TinyModel.make(pool: pool))
        let traces = Mutex<[Int: FeatureTrace]>([:])
        let hold = await WorkerPoolHold(of: pool)
        func ask(_ number: Int, _ taps: TapSelection) -> Task<FeatureResponse, any Error> {
            var request = FeatureRequest(taps)
            request.traceObserver = { trace in traces.withLock { $0[number] = trace } }
            let asked = request
            return Task { try await service.features(of: [.normalized(TinyModel.input(UInt64(number)))], asked) }
        }
        let short = TapSelection.taps([Tap(time: .at(1), place: .activation(ActivationMeans(.middle)))])
        var tasks: [Task<FeatureResponse, any Error>] = []
        for number in 0..<7 {
            tasks.append(ask(number, number < 6 ? .roundTrip(atMost: 3) : short))
            #expect(
                await eventually {
                    let status = await service.status()
                    return status.inFlight + status.waiting == number + 1
                })
        }
        hold.release()
        for task in tasks { _ = try await task.value.results[0].get() }
        let ends = traces.withLock { traces in (0..<7).map { traces[$0]!.inference!.upperBound } }
        #expect(ends[..<6].allSatisfy { $0 > ends[6] })
        #expect(log.batches.withLock { $0.max() } == 4)
        await service.waitUntilIdle()
    }

    @Test("A request is refused whose numbers are too many, or for which there is no memory")
    func memoryOfAnswers() async throws {
        let service = try await service()
        let numbers = 2 * 3 * TinyModel.side * TinyModel.side
        let taken = Mutex(0)
        func ask(atMost limit: Int, available: Int) async throws -> FeatureResponse {
            var request = FeatureRequest(taps: [Tap(time: .at(1), place: .state)])
            request.memory = AnswerMemory(maximumNumbers: limit) { count in
                taken.withLock { $0 += count }
                return count <= available
            }
            return try await service.features(of: [1, 2].map { .normalized(TinyModel.input($0)) }, request)
        }
        await #expect(throws: FeatureServiceError.tooManyNumbers(numbers, atMost: numbers - 1)) {
            try await ask(atMost: numbers - 1, available: .max)
        }
        #expect(taken.withLock { $0 } == 0)
        await #expect(throws: FeatureServiceError.overloaded(retryAfter: 1)) {
            try await ask(atMost: numbers, available: numbers - 1)
        }
        #expect(try await ask(atMost: numbers, available: numbers).results.count == 2)
        #expect(taken.withLock { $0 } == 2 * numbers)
    }

    @Test("A state that is not finite fails its own image only")
    func notFinite() async throws {
        let service = try await service()
        var poisoned = TinyModel.input(1)
        poisoned[77] = .nan
        let response = try await service.features(
            of: [.normalized(TinyModel.input(0)), .normalized(poisoned), .normalized(TinyModel.input(2))],
            FeatureRequest())
        let alone = try await service.features(of: [.normalized(TinyModel.input(2))], FeatureRequest())
        #expect(throws: ImageFailure.notFinite) { try response.results[1].get() }
        #expect(try value(response, 2) == value(alone))
        #expect(log.count("notFinite") == 1)
    }

    @Test("Activations that are not finite fail their own image only, although its state is finite")
    func overflow() async throws {
        let service = try await service()
        let largest = TinyModel.input(1).map { $0 < 0 ? -Float.greatestFiniteMagnitude : .greatestFiniteMagnitude }
        let request = FeatureRequest(taps: [Tap(time: .at(1), place: .activation(ActivationMeans(.up(0))))])
        let response = try await service.features(
            of: [.normalized(TinyModel.input(0)), .normalized(largest)], request)
        let alone = try await service.features(of: [.normalized(TinyModel.input(0))], request)
        #expect(throws: ImageFailure.notFinite) { try response.results[1].get() }
        #expect(try value(response, 0) == value(alone))
        #expect(log.count("notFinite") == 1)
    }

    @Test("Swapping models under load: every answer is one model's, the one it names, and none is refused")
    func swap() async throws {
        let models = try (1...2).map { try TinyModel.make(seed: UInt64($0), pool: pool) }
        let service = try await service(model: models[0])
        var truth: [String: [Float]] = [:]
        for model in models {
            await service.activate(model)
            truth[model.version.sha256] = try value(
                try await service.features(of: [.normalized(TinyModel.input(0))], FeatureRequest()))
        }
        #expect(truth.count == 2 && Set(truth.values).count == 2)
        let expected = truth
        let input = FeatureInput.normalized(TinyModel.input(0))
        let isDone = Flag()
        try await withThrowingTaskGroup(of: Set<String>.self) { group in
            for _ in 0..<6 {
                group.addTask {
                    var seen: Set<String> = []
                    while !isDone.value.load(ordering: .relaxed) {
                        let response = try await service.features(of: [input], FeatureRequest())
                        let name = response.served.version.sha256
                        #expect(try response.results[0].get().values[0] == expected[name])
                        seen.insert(name)
                    }
                    return seen
                }
            }
            for n in 0..<60 {
                let next = models[n % 2]
                #expect(try await service.warmUp(next))
                await service.activate(next)
            }
            isDone.value.store(true, ordering: .relaxed)
            var seen: Set<String> = []
            for try await names in group { seen.formUnion(names) }
            #expect(seen.count == 2)
        }
        await service.waitUntilIdle()
    }

    @Test("Draining: what is in flight or waits is answered, newcomers are refused")
    func draining() async throws {
        let service = try await service(batchLimit: 2)
        let hold = await WorkerPoolHold(of: pool)
        let tasks = ask(service, 0..<8)
        #expect(
            await eventually {
                let status = await service.status()
                return status.inFlight >= 1 && status.inFlight + status.waiting == 8
            })
        await service.beginDraining()
        await #expect(throws: FeatureServiceError.draining) {
            try await service.features(of: [.normalized(TinyModel.input(0))], FeatureRequest())
        }
        hold.release()
        for task in tasks { #expect(try await task.value.results.count == 1) }
        await service.waitUntilIdle()
        #expect(await !service.status().isReady)
    }

    @Test("Before a model there is no answer; without a head no logits; off the grid no tap")
    func refusals() async throws {
        let empty = FeatureService(
            configuration: FeatureServiceConfiguration(), kernels: .best, pool: pool, events: log.events)
        await #expect(throws: FeatureServiceError.starting) {
            try await empty.features(of: [.normalized(TinyModel.input(0))], FeatureRequest())
        }
        #expect(await !empty.status().isReady)
        let service = try await service()
        let tap = Tap(time: .at(0.9), place: .pooled)
        do {
            _ = try await service.features(of: [.normalized(TinyModel.input(0))], FeatureRequest(taps: [tap]))
            Issue.record("a time off the grid was served")
        } catch {
            guard case .tap(let reason) = error else {
                Issue.record("\(error)")
                return
            }
            #expect(reason.description.contains("grid"))
        }
        #expect(await service.status().waiting == 0)
    }
}
