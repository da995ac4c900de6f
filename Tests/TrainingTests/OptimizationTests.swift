import CheckpointFormats
import Differentiation
import FlowModel
import Networks
import Tensor
import TestFixtures
import Testing

@testable import Training

/// A store of one parameter with seeded values.
private func store(_ count: Int, seed: UInt64 = 1) -> ParameterStore {
    let store = ParameterStore(shapes: [ParameterShape(key: "weight", shape: [count])])
    var generator = SeededGenerator(seed: seed)
    store.values.update(from: generator.floats(count), count: count)
    return store
}

private struct OptimizerCase: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let settings: AdamW.Settings
    var clip: Double?

    static let all = [
        Self(testDescription: "adam", settings: AdamW.Settings()),
        Self(testDescription: "adamw", settings: AdamW.Settings(weightDecay: 0.05)),
        Self(
            testDescription: "clipped",
            settings: AdamW.Settings(beta1: 0.8, beta2: 0.95, epsilon: 1e-4, weightDecay: 0.5), clip: 0.25),
    ]
}

@Suite("The optimizer")
struct OptimizationTests {
    @Test("takes the steps that PyTorch's takes", arguments: OptimizerCase.all)
    private func agreesWithPyTorch(sample: OptimizerCase) throws {
        let fixture = try SafetensorsFile(path: TestFixtures.path("optimizers/optimizers.safetensors"))
        let expected = try fixture.floats(of: sample.testDescription)
        let rates = [0.01, 0.02, 0.03, 0.02, 0.01, 0.001]
        let count = expected.count / rates.count
        let pool = WorkerPool(count: 2)
        let store = store(count)
        let optimizer = AdamW(store, settings: sample.settings, pool: pool)
        for (step, rate) in rates.enumerated() {
            var generator = SeededGenerator(seed: UInt64(2 + step))
            var size: Float = 1
            for (i, value) in generator.floats(count).enumerated() {
                store.gradients[i] = value * size
                if i < 9 { size /= 10 }
            }
            let norm = store.gradientNorm(pool: pool)
            let scale = sample.clip.map { norm > $0 ? $0 / norm : 1 } ?? 1
            optimizer.step(learningRate: rate, gradientScale: scale)
            for i in 0..<count {
                #expect(abs(store.values[i] - expected[step * count + i]) < 2e-6, "step \(step), number \(i)")
            }
        }
    }

    @Test("gives the same bits with any number of workers")
    func workers() {
        func values(_ workers: Int) -> [Float] {
            let pool = WorkerPool(count: workers)
            let store = store(100_003)
            let optimizer = AdamW(store, settings: AdamW.Settings(weightDecay: 0.1), pool: pool)
            let average = ExponentialMovingAverage(store, decay: 0.5, pool: pool)
            for step in 1...3 {
                store.gradients.update(from: store.values, count: store.count)
                optimizer.step(learningRate: 0.01, gradientScale: 1 / store.gradientNorm(pool: pool))
                average.update(step: step)
            }
            average.exchange()
            return Array(UnsafeBufferPointer(start: store.values, count: store.count))
        }
        let alone = values(1)
        #expect(values(2) == alone && values(3) == alone)
    }

    @Test("changes nothing outside its ranges, and the same inside as without ranges")
    func ranges() {
        let ranges = [3..<40, 70..<99]
        func values(_ ranges: [Range<Int>]?, steps: Int = 3) -> [Float] {
            let pool = WorkerPool(count: 3)
            let store = store(100)
            let optimizer = AdamW(store, ranges: ranges, settings: AdamW.Settings(weightDecay: 0.1), pool: pool)
            for _ in 0..<steps {
                store.gradients.update(from: store.values, count: store.count)
                optimizer.step(learningRate: 0.01)
            }
            return Array(UnsafeBufferPointer(start: store.values, count: store.count))
        }
        let (before, all, found) = (values(nil, steps: 0), values(nil), values(ranges))
        for i in found.indices {
            let isInside = ranges.contains { $0.contains(i) }
            #expect(found[i] == (isInside ? all : before)[i], "number \(i)")
        }
        #expect(zip(all, before).allSatisfy { $0 != $1 })
    }

    @Test("The norm of gradients is not finite where one of them isn't", arguments: [Float.nan, .infinity])
    func norm(bad: Float) {
        let (pool, store) = (WorkerPool(count: 2), store(40_000))
        store.gradients.update(repeating: 0.5, count: store.count)
        #expect(abs(store.gradientNorm(pool: pool) - 100) < 1e-9)
        store.gradients[39_999] = bad
        #expect(!store.gradientNorm(pool: pool).isFinite)
    }

    @Test("An average of weights forgets its beginning soon, then moves by its decay, and changes places with them")
    func average() {
        let store = store(5)
        let average = ExponentialMovingAverage(store, decay: 0.99, pool: WorkerPool(count: 1))
        #expect(average.decay(atStep: 1) == 2.0 / 11 && average.decay(atStep: 10_000) == 0.99)
        let continued = ExponentialMovingAverage(
            store, decay: 0.99, forgetsBeginning: false, pool: WorkerPool(count: 1))
        #expect(continued.decay(atStep: 1) == 0.99)
        store.values.update(repeating: 1, count: 5)
        average.values.update(repeating: 3, count: 5)
        average.update(step: 10_000)
        #expect((0..<5).allSatisfy { abs(average.values[$0] - 2.98) < 1e-6 })
        average.exchange()
        #expect((0..<5).allSatisfy { abs(store.values[$0] - 2.98) < 1e-6 && average.values[$0] == 1 })
    }

    @Test("The learning rate rises linearly, and falls by half a cosine to its floor")
    func schedule() {
        let cosine = LearningRateSchedule(peak: 2, floor: 0.5, warmUpSteps: 4, totalSteps: 104, shape: .cosine)
        #expect((0..<4).map(cosine.rate) == [0.5, 1, 1.5, 2])
        #expect(cosine.rate(at: 4) == 2)
        #expect(abs(cosine.rate(at: 54) - 1.25) < 1e-12)
        #expect(abs(cosine.rate(at: 29) - (0.5 + 1.5 * (1 + 0.5.squareRoot()) / 2)) < 1e-12)
        #expect(cosine.rate(at: 104) == 0.5 && cosine.rate(at: 1_000) == 0.5)
        let constant = LearningRateSchedule(peak: 3, warmUpSteps: 0, totalSteps: 10, shape: .constant)
        #expect([0, 5, 99].map(constant.rate) == [3, 3, 3])
    }
}
