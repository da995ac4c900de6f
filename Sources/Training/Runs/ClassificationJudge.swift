import Differentiation
import FlowModel
import ReverseODE
import Tensor

/// Scores weights on images held back, by the inference engine that will serve them.
final class ClassificationJudge {
    private let configuration: ModelConfiguration
    private let validation: DataFeed
    private let kernels: Kernels
    private let pool: WorkerPool

    /// Images that the engine evaluates together.
    private static let batch = 32

    init(_ configuration: ModelConfiguration, validation: DataFeed, kernels: Kernels, pool: WorkerPool) {
        self.configuration = configuration
        self.validation = validation
        self.kernels = kernels
        self.pool = pool
    }

    /// The mean cross-entropy, without smoothing, and the top-1 accuracy of the store's values.
    ///
    /// - Throws: `DataSetError` naming an image that can't be used, and what `beforeEachBatch` throws.
    func score(_ store: ParameterStore, beforeEachBatch: () throws -> Void) throws -> ValidationScore {
        let model = try ReversibleModel(configuration: configuration, kernels: kernels, pool: pool) {
            store.values(fileKey: $0)
        }
        let integrator = ReverseIntegrator(model: model, capacity: Self.batch, kernels: kernels, pool: pool)
        var tally = ValidationTally()
        let batches = validation.batches()
        for _ in 0..<validation.batchesPerEpoch {
            try beforeEachBatch()
            let batch = try batches.next()
            let size = model.stateCount
            var passes = batch.labels.indices.map { n in
                integrator.trajectory(
                    input: Array(batch.pixels[(n * size)..<((n + 1) * size)]), taps: [], wantsLogits: true)
            }
            integrator.run(&passes)
            for (pass, label) in zip(passes, batch.labels) { tally.add(logits: pass.logits!, label: label) }
        }
        return tally.score
    }
}
