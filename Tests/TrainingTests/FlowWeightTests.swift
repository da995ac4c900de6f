import Differentiation
import FlowModel
import Networks
import Tensor
import TestFixtures
import Testing

@testable import Training

/// Keeps the promise that `--flow-weight` makes fine-tuning learn the flow too, and that nothing changes without it.
@Suite("Fine-tuning that keeps the flow")
struct FlowWeightTests {
    private static let configuration = ModelConfiguration(
        name: "small", architecture: SmallRun.architecture,
        head: HeadConfiguration(pooledSize: 4, hiddenWidth: 8, classes: 2, place: ActivationMeans(.middle)),
        path: .icfm,
        grid: TimeGridConfiguration(count: 5, cutoff: 3), preprocessing: .reference(imageSize: 16))

    private static func learner(
        _ weight: Double, share: Double = 1, gradientSteps: Int? = nil, validation: DataFeed? = nil, pool: WorkerPool
    ) throws -> FineTuningLearner {
        let learner = try FineTuningLearner(
            configuration, smoothing: 0.1, gradientSteps: gradientSteps, flowWeight: weight, flowShare: share, seed: 3,
            capacity: 8,
            validation: validation, kernels: .best, pool: pool)
        var generator = SeededGenerator(seed: 4)
        for i in 0..<learner.store.count { learner.store.values[i] = 0.1 * generator.nextFloat() }
        learner.valuesChanged()
        return learner
    }

    private static func gradients(_ learner: FineTuningLearner) -> [Float] {
        Array(UnsafeBufferPointer(start: learner.store.gradients, count: learner.store.count))
    }

    /// A batch whose plain images aren't those that the classes are learnt from.
    private static let batch: Batch = {
        let (seen, plain) = (SmallRun.batch(0, 0), SmallRun.batch(0, 1))
        return Batch(epoch: 0, index: 0, pixels: seen.pixels, labels: seen.labels, flowPixels: plain.pixels)
    }()

    @Test(
        "Gradients are central differences of the loss of classes plus the weighted loss of the flow",
        arguments: [(nil, 1), (0, 1), (0, 0.3)] as [(Int?, Double)])
    func gradients(gradientSteps: Int?, share: Double) throws {
        let (pool, weight) = (WorkerPool(count: 2), 0.3)
        let learner = try Self.learner(weight, share: share, gradientSteps: gradientSteps, pool: pool)
        let store = learner.store
        _ = learner.differentiate(Self.batch, step: 2)
        let gradients = Self.gradients(learner)
        let values = Array(UnsafeBufferPointer(start: store.values, count: store.count))
        // Along the gradient of each parameter, which is long enough to be told from rounding.
        for key in ["input_blocks.0.0.weight", "middle_block.0.in_layers.2.weight", "out.2.weight", "out.2.bias"] {
            let range = store.range(of: key)
            let norm = gradients[range].reduce(0) { $0 + Double($1) * Double($1) }.squareRoot()
            try #require(norm > 0, "\(key)")
            func loss(_ step: Double) -> Double {
                for i in range { store.values[i] = values[i] + Float(step * Double(gradients[i]) / norm) }
                learner.valuesChanged()
                let outcome = learner.differentiate(Self.batch, step: 2)
                return outcome.loss + weight * outcome.flowLoss!
            }
            let slope = (loss(1e-2) - loss(-1e-2)) / 2e-2
            for i in range { store.values[i] = values[i] }
            #expect(abs(slope - norm) < 2e-2 * norm, "\(key): \(slope), not \(norm)")
        }
    }

    @Test("The loss of the flow is pretraining's on the plain images, and reaches what the head's error doesn't")
    func isPretrainings() throws {
        let pool = WorkerPool(count: 2)
        let learner = try Self.learner(0.5, gradientSteps: 0, pool: pool)
        let pretraining = PretrainingLearner(
            try SmallRun.architecture.program(), flow: .path(.icfm), seed: 3, capacity: 8, validation: nil,
            kernels: .best, pool: pool)
        for shape in pretraining.store.shapes {
            pretraining.store.value(shape.key).update(from: learner.store.value(shape.key), count: shape.count)
        }
        pretraining.valuesChanged()
        let plain = Batch(epoch: 0, index: 0, pixels: Self.batch.flowPixels!, labels: Self.batch.labels)
        let expected = pretraining.differentiate(plain, step: 5).loss
        #expect(learner.differentiate(Self.batch, step: 5).flowLoss == expected)
        #expect(learner.reached == [0..<learner.store.count])
        // Behind the head's place, the flow's loss alone has a gradient.
        let (found, alone) = (learner.store.gradient("out.2.bias"), pretraining.store.gradient("out.2.bias"))
        #expect((0..<3).allSatisfy { abs(found[$0] - 0.5 * alone[$0]) < 1e-6 && alone[$0] != 0 })
    }

    @Test(
        "With a share, the loss of the flow is the mean over so many images, spread over the batch",
        arguments: [(1.0, Array(0..<8)), (0.5, [0, 2, 4, 6]), (0.25, [0, 4]), (0.01, [0])])
    func share(share: Double, images: [Int]) throws {
        let pool = WorkerPool(count: 2)
        let batch = SmallRun.batch(0, 0)
        let size = batch.pixels.count / batch.count
        let chosen = images.flatMap { batch.pixels[$0 * size..<($0 + 1) * size] }
        let some = Batch(epoch: 0, index: 0, pixels: chosen, labels: images.map { batch.labels[$0] })
        let all = try Self.learner(0.5, pool: pool).differentiate(some, step: 5).flowLoss
        let learner = try Self.learner(0.5, share: share, pool: pool)
        #expect(learner.differentiate(batch, step: 5).flowLoss == all)
        var parts: [Double] = []
        learner.differentiate(batch, parts: [0..<2, 2..<3, 3..<8], step: 5) { parts.append($0.flowLoss!) }
        #expect(abs(parts.reduce(0, +) - all!) < 1e-9 * all!)
        #expect(share > 0.1 || Array(parts[1...]) == [0, 0])
    }

    @Test("Images for the flow may be more or fewer than those of classes, or all damaged", arguments: [12, 3, 0])
    func others(count: Int) throws {
        let pool = WorkerPool(count: 2)
        let size = Self.batch.pixels.count / Self.batch.count
        let pixels = Array((SmallRun.batch(0, 1).pixels + SmallRun.batch(0, 2).pixels).prefix(count * size))
        let batch = Batch(
            epoch: 0, index: 0, pixels: Self.batch.pixels, labels: Self.batch.labels, flowPixels: pixels)
        let learner = try Self.learner(0.5, share: 0.5, pool: pool)
        let whole = learner.differentiate(batch, step: 5)
        #expect((whole.flowLoss == nil) == (count == 0))
        var parts: [BatchOutcome] = []
        learner.differentiate(batch, parts: [0..<3, 3..<8], step: 5) { parts.append($0) }
        let sum = parts.compactMap(\.flowLoss).reduce(0, +)
        #expect(abs(sum - (whole.flowLoss ?? 0)) <= 1e-6 * sum)
    }

    @Test("Without a weight, gradients, loss and what they reach have the bits of classes alone")
    func without() throws {
        let pool = WorkerPool(count: 2)
        let learner = try Self.learner(0, gradientSteps: 0, pool: pool)
        let outcome = learner.differentiate(Self.batch, step: 0)
        #expect(outcome.flowLoss == nil)
        let found = Self.gradients(learner)
        let other = Batch(epoch: 0, index: 0, pixels: Self.batch.pixels, labels: Self.batch.labels)
        #expect(learner.differentiate(other, step: 1) == outcome && Self.gradients(learner) == found)
        #expect(learner.reached != [0..<learner.store.count])
    }

    @Test("After a few steps, the loss of the flow on images held back is lower than without")
    func remembers() throws {
        try withTemporaryFolder { folder in
            let (pool, validation) = (WorkerPool(count: 2), try SmallRun.pictures(in: folder))
            let pretraining = PretrainingLearner(
                try SmallRun.architecture.program(), flow: .path(.icfm), seed: 1, capacity: 8, validation: nil,
                kernels: .best, pool: pool)
            let trainer = Trainer(
                pretraining, settings: SmallRun.settings(rate: 2e-3, decay: 0, steps: 1000), batchesPerEpoch: 1,
                computation: "", pool: pool)
            for step in 0..<30 { _ = try trainer.step(SmallRun.batch(0, step)) }
            func score(_ weight: Double) throws -> (kept: ValidationScore, flow: Double) {
                let tuning = try Self.learner(weight, validation: validation, pool: pool)
                WeightInitialization.initialize(tuning.store, seed: 1)
                for shape in pretraining.store.shapes {
                    tuning.store.value(shape.key).update(from: pretraining.store.value(shape.key), count: shape.count)
                }
                let trainer = Trainer(
                    tuning, settings: SmallRun.settings(rate: 2e-3, decay: 0, steps: 1000), batchesPerEpoch: 1,
                    computation: "", pool: pool)
                for step in 0..<25 { _ = try trainer.step(SmallRun.batch(0, step)) }
                let flow = FlowLoss(
                    flow: .path(.icfm),
                    objective: FlowMatchingObjective(try network(tuning.store, pool: pool)), seed: 3, pool: pool)
                return (
                    try #require(try tuning.validate {}), try flow.mean(over: validation, beforeEachBatch: {})
                )
            }
            let (without, with) = (try score(0), try score(1))
            #expect(with.flow < without.flow, "\(with.flow), without \(without.flow)")
            #expect(with.kept.flowLoss == with.flow && without.kept.flowLoss == nil)
        }
    }

    private func network(_ store: ParameterStore, pool: WorkerPool) throws -> TrainableNetwork {
        let network = TrainableNetwork(
            try SmallRun.architecture.program(), capacity: 8, kernels: .best, pool: pool)
        network.takeValues(from: store)
        return network
    }
}
