import FlowModel
import ModelFixtures
import Tensor
import TestFixtures
import Testing

@testable import Training

/// Keeps the promise that every network that can be imported can be trained: no block lacks a gradient.
@Suite("Fine-tuning of imported families")
struct FamilyTrainingTests {
    /// The families, one for each network.
    static let fixtures = FamilyFixture.all.filter { $0.sameWeightsAs == nil }
    /// Words in the keys of all parameters, of the time embedding and of attention.
    private static let parts = ["", "time_embed", "qkv"]

    /// The learner of an imported model, through two steps of a long grid, with a new head.
    private func learner(_ fixture: FamilyFixture) throws -> FineTuningLearner {
        var settings = fixture.settings()
        settings.points = 9
        return try fixture.withImport(settings) { model in
            var configuration = model.configuration
            configuration.grid.cutoff = configuration.flow.keepsGridBeforeCutoff ? 3 : 6
            configuration.head = HeadConfiguration(pooledSize: 4, hiddenWidth: 8, classes: 2)
            configuration.labels = ["a", "b"]
            let learner = try FineTuningLearner(
                configuration, smoothing: 0.1, capacity: 2, validation: nil, kernels: .best, pool: WorkerPool(count: 2))
            WeightInitialization.initialize(learner.store, seed: 1) { $0.hasPrefix("classifier.") }
            for parameter in model.parameters {
                let values = try model.weights(parameter.key)
                learner.store.value(ModelFile.parameter(ofKey: parameter.key)).update(from: values, count: values.count)
            }
            learner.valuesChanged()
            return learner
        }
    }

    @Test("has the loss's slope along the gradient of every part of the network", arguments: fixtures)
    func slopes(fixture: FamilyFixture) throws {
        let learner = try learner(fixture)
        let store = learner.store
        var generator = SeededGenerator(seed: 8)
        let side = fixture.network.imageSize
        let batch = Batch(epoch: 0, index: 0, pixels: generator.floats(2 * 3 * side * side), labels: [0, 1])
        func loss() -> Double { learner.differentiate(batch, step: 0).loss }
        _ = loss()
        let values = Array(UnsafeBufferPointer(start: store.values, count: store.count))
        let gradient = Array(UnsafeBufferPointer(start: store.gradients, count: store.count))
        for part in Self.parts {
            let ranges = store.ranges { part.isEmpty || $0.contains(part) }
            guard !ranges.isEmpty else { continue }
            var square = 0.0
            for range in ranges { for i in range { square += Double(gradient[i]) * Double(gradient[i]) } }
            let norm = square.squareRoot()
            try #require(norm.isFinite && norm > 0, "\(part)")
            // A change of the loss that is large compared with rounding.
            let length = 5e-3 / norm
            func moved(by sign: Double) -> Double {
                let (moving, factor) = (store.values, Float(sign * length / norm))
                for range in ranges { for i in range { moving[i] = values[i] + factor * gradient[i] } }
                learner.valuesChanged()
                defer { for range in ranges { for i in range { moving[i] = values[i] } } }
                return loss()
            }
            let slope = (moved(by: 1) - moved(by: -1)) / (2 * length)
            #expect(abs(slope - norm) < 0.02 * norm, "\(part): \(slope), not \(norm)")
        }
    }
}
