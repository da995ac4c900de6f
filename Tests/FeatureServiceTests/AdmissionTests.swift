import Tensor
import TestBench
import Testing

@testable import FeatureService

@Suite("Admission by the time that the work ahead takes")
struct AdmissionTests {
    @Test("A rate is a mean over the last seconds, in any unit; what has taken no time isn't counted")
    func rate() {
        var rate = WorkRate()
        #expect(!rate.isMeasured && rate.seconds(for: 1e12) == 0, "without experience nothing keeps a request out")
        for (amount, seconds) in [(0, 1), (1, 0), (-1, 1), (.infinity, 1), (1, .nan)] as [(Double, Double)] {
            rate.record(amount, in: seconds)
        }
        #expect(!rate.isMeasured)
        rate.record(10, in: 1)
        #expect(rate.seconds(for: 100) == 10)
        // One step that the host held up is no trend.
        for _ in 0..<200 { rate.record(1, in: 0.1) }
        rate.record(1, in: 0.5)
        #expect(abs(rate.seconds(for: 100) - 10) < 1)
        // Half the speed for some seconds is.
        for _ in 0..<200 { rate.record(1, in: 0.2) }
        #expect(abs(rate.seconds(for: 100) - 20) < 1)
    }

    @Test("The backlog is what is left of each image's work, of any model, and nothing once all have gone")
    func backlog() {
        var backlog = Backlog(decoders: 2, shareOfLeastWork: 0.5)
        backlog.warmedUp(operations: 8e9, seconds: 0.08)
        backlog.reserve(3, operations: 1e9)
        #expect(abs(backlog.seconds - 0.03) < 1e-9)
        backlog.release(3, operations: 1e9)
        let (small, large) = (ImageID(number: 0), ImageID(number: 1))
        backlog.add(small, operations: 1e9, isEncoded: false)
        backlog.add(large, operations: 520e9, isEncoded: false)
        #expect(abs(backlog.seconds - 5.21) < 1e-9 && backlog.imageCount == 2)
        backlog.setOperations(260e9, of: large)
        #expect(backlog.operations(of: [small, large]) == 261e9)
        // The warm-up was a first guess, with pages to be faulted in.
        backlog.stepped(operations: 1000e9, seconds: 5)
        backlog.warmedUp(operations: 1, seconds: 100)
        #expect(abs(backlog.seconds - 261e9 / (1000e9 / 5)) < 0.02)
        for image in [small, large, large] { backlog.remove(image) }
        #expect(backlog.seconds == 0 && backlog.isEmpty)
    }

    @Test(
        "Ahead of an image is what has no more left than it, in that part of the batch, and never more than all",
        arguments: [0, 0.5])
    func ahead(share: Double) {
        var backlog = Backlog(decoders: 1, shareOfLeastWork: share)
        backlog.stepped(operations: 1, seconds: 1)
        backlog.setUsual(operations: 1)
        let long = (UInt64(0)..<3).map { ImageID(number: $0) }
        for image in long { backlog.add(image, operations: 10, isEncoded: false) }
        backlog.add(ImageID(number: 3), operations: 1, isEncoded: false)
        backlog.reserve(2, operations: 1)
        #expect(backlog.seconds == 33 && backlog.seconds(aheadOf: 10) == 33)
        #expect(backlog.seconds(aheadOf: 1) == (share == 0 ? 33 : 6))
        #expect(backlog.seconds(aheadOf: 0.5) == (share == 0 ? 33 : 0))
        backlog.setOperations(1, of: long[0])
        #expect(backlog.seconds(aheadOf: 1) == (share == 0 ? 24 : 8), "it has been taken so far")
        backlog.release(2, operations: 1)
        backlog.remove(long[0])
        #expect(backlog.seconds(aheadOf: 1) == (share == 0 ? 21 : 2))
        // As if another model had been activated.
        backlog.setUsual(operations: 10)
        #expect(backlog.seconds(aheadOf: 10) == 21 && backlog.seconds(aheadOf: 1) == (share == 0 ? 21 : 2))
    }

    @Test("Images to be decoded count by the time that the decoders take, if that is longer")
    func decoding() {
        var backlog = Backlog(decoders: 2, shareOfLeastWork: 0.5)
        let images = (UInt64(0)..<100).map { ImageID(number: $0) }
        for image in images { backlog.add(image, operations: 1, isEncoded: true) }
        backlog.stepped(operations: 100, seconds: 0.1)
        #expect(backlog.seconds == 0.1)
        backlog.decoded(images[0], seconds: 0.02)
        #expect(abs(backlog.seconds - 99 * 0.02 / 2) < 1e-9)
        for image in images.dropFirst() { backlog.remove(image) }
        #expect(backlog.seconds == 0.001, "what was given up is not decoded")
        backlog.decoded(images[1], seconds: 0.02)
        #expect(backlog.seconds == 0.001)
    }

    @Test("Whatever comes to a service with nothing ahead is admitted; then the limits hold and say how long")
    func policy() {
        let policy = AdmissionPolicy(imageLimit: 10, waitLimit: 5)
        var backlog = Backlog(decoders: 1, shareOfLeastWork: 0.5)
        backlog.stepped(operations: 1, seconds: 1)
        #expect(policy.refusal(of: 1000, work: 1, waiting: 0, backlog) == nil)
        for number in UInt64(0)..<5 { backlog.add(ImageID(number: number), operations: 1, isEncoded: false) }
        #expect(policy.refusal(of: 5, work: 1, waiting: 5, backlog) == nil)
        #expect(policy.refusal(of: 6, work: 1, waiting: 5, backlog) == AdmissionRefusal(.images, after: 1))
        #expect(policy.refusal(of: 1000, work: 1, waiting: 3, backlog) == AdmissionRefusal(.images, after: 3))
        #expect(policy.refusal(of: 1000, work: 1, waiting: 0, backlog) == nil, "all that is ahead has begun")
        backlog.add(ImageID(number: 5), operations: 7.5, isEncoded: false)
        #expect(policy.refusal(of: 1, work: 8, waiting: 0, backlog) == AdmissionRefusal(.wait, after: 7.5))
        #expect(policy.refusal(of: 1, work: 0.5, waiting: 0, backlog) == nil, "it waits for none of the longer ones")
        #expect(AdmissionPolicy(imageLimit: 10, waitLimit: nil).refusal(of: 1, work: 1, waiting: 0, backlog) == nil)
        #expect(AdmissionRefusal(.wait, after: 7.5).retryAfter == 8)
        #expect(AdmissionRefusal(.wait, after: 0).retryAfter == 1)
        #expect(AdmissionRefusal(.wait, after: 1e9).retryAfter == 600)
    }

    /// Every thread sends one request of 32 images at the same time, on a model that takes `secondsPerImage`. Returns how many
    /// are refused and the longest Retry-After.
    private func refusals(threads: Int, secondsPerImage: Double) -> (count: Int, longest: Int) {
        let configuration = FeatureServiceConfiguration()
        let policy = AdmissionPolicy(
            imageLimit: configuration.queueLimit, waitLimit: configuration.waitLimit?.seconds)
        var backlog = Backlog(decoders: configuration.decoders, shareOfLeastWork: 0.5)
        backlog.stepped(operations: 1, seconds: secondsPerImage)
        var refused: [AdmissionRefusal] = []
        for request in 0..<threads {
            if let refusal = policy.refusal(of: 32, work: 1, waiting: backlog.imageCount, backlog) {
                refused.append(refusal)
                continue
            }
            for number in 0..<32 {
                backlog.add(ImageID(number: UInt64(request * 32 + number)), operations: 1, isEncoded: false)
            }
        }
        return (refused.count, refused.map(\.retryAfter).max() ?? 0)
    }

    @Test(
        "At the defaults, eight threads of 32 images each are admitted on the bundled model, and one at a time on U32")
    func documentedClient() {
        // Half the speed measured on two cores of a Zen 3 (docs/performance.md).
        #expect(refusals(threads: 8, secondsPerImage: 2.0 / 128).count == 0)
        // 31 evaluations of 33 ms: a second an image.
        let slow = refusals(threads: 8, secondsPerImage: 1)
        #expect(slow.count == 7 && slow.longest == 27)
    }

    @Test("A service measures its rate, refuses from then on, by head and request alike, and tells when to come again")
    func service() async throws {
        let (pool, clock, log) = (WorkerPool(count: 2), ManualClock(), EventLog())
        var configuration = FeatureServiceConfiguration()
        configuration.batchLimit = 1
        let service = FeatureService(
            configuration: configuration, kernels: .best, pool: pool, events: log.events, clock: { clock.now })
        // Made before the pool is held, which packs their weights.
        let models = try [4, 40].map { try TinyModel.make(seed: UInt64($0), steps: $0, pool: pool) }
        await service.activate(models[0])
        func ask(_ count: Int = 1) -> Task<FeatureResponse, any Error> {
            let inputs = (0..<count).map { FeatureInput.normalized(TinyModel.input(UInt64($0))) }
            return Task { try await service.features(of: inputs, FeatureRequest()) }
        }
        var hold = await WorkerPoolHold(of: pool)
        func started() async { #expect(await eventually { await service.status().inFlight == 1 }) }

        // The default tap is after one pass: a first evaluation takes a second, as the clock says; the others take no time.
        var asked = ask()
        await started()
        #expect(await service.status().expectedWait == 0, "no rate is known")
        clock.advance(by: .seconds(1))
        hold.release()
        _ = try await asked.value
        await service.waitUntilIdle()

        hold = await WorkerPoolHold(of: pool)
        asked = ask()
        await started()
        let pass = await service.status().expectedWait
        #expect(pass >= 3, "\(pass) evaluations")
        let second = ask()
        #expect(await eventually { await service.status().waiting == 1 })
        #expect(await service.status().expectedWait == 2 * pass)
        let refusal = FeatureServiceError.overloaded(retryAfter: Int((2 * pass - 5).rounded(.up)))
        await #expect(throws: refusal) { try await ask().value }
        #expect(await !service.status().isReady && service.refusal() == refusal && log.count("rejected") == 2)
        #expect(service.refusal(mayBeQuick: true) == refusal, "a batch of one has no place for less work")
        second.cancel()
        #expect(await eventually { service.refusal() == nil })
        #expect(await service.status().isReady)

        // Another model, ten times as many steps an image: as much time an evaluation.
        await service.activate(models[1])
        let long = ask()
        #expect(await eventually { await service.status().waiting == 1 })
        #expect(await service.status().expectedWait > 30)
        long.cancel()
        #expect(await eventually { await service.status().waiting == 0 })
        hold.release()
        _ = try await asked.value
        await service.waitUntilIdle()
        #expect(await service.status().expectedWait == 0)
        #expect(try await ask(5).value.results.count == 5, "200 seconds of work, with nothing ahead")
    }
}
