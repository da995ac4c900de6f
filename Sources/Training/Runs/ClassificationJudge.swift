import Differentiation
import FlowModel
import ReverseODE
import Tensor

/// Scores weights on images held back, by the inference engine that will serve them.
struct ClassificationJudge {
    let configuration: ModelConfiguration
    let validation: DataFeed
    let kernels: Kernels
    let pool: WorkerPool

    /// The mean cross-entropy, without smoothing, and the top-1 accuracy of the store's values.
    ///
    /// - Parameter afterEachBatch: called with every batch and its number, for what else is judged by the same images.
    /// - Throws: `DataSetError` naming an image that can't be used, and what `beforeEachBatch` throws.
    func score(
        _ store: ParameterStore, beforeEachBatch: () throws -> Void,
        afterEachBatch: (_ batch: Batch, _ number: Int) -> Void = { _, _ in }
    ) throws -> ValidationScore {
        let model = try ReversibleModel(configuration: configuration, kernels: kernels, pool: pool) {
            store.numbers(of: ModelFile.parameter(ofKey: $0), in: store.values)
        }
        let integrator = ReverseIntegrator(forBatchesOf: model, kernels: kernels, pool: pool)
        var tally = EvaluationTally()
        let batches = validation.batches()
        for number in 0..<validation.batchesPerEpoch {
            try beforeEachBatch()
            let batch = try batches.next()
            defer { afterEachBatch(batch, number) }
            for (pass, label) in zip(integrator.passes(of: batch, wantsLogits: true), batch.labels) {
                tally.add(logits: pass.logits!, answer: label)
            }
        }
        return tally.score
    }
}

extension ReverseIntegrator {
    /// An integrator for the images of batches, of which it evaluates 32 together.
    convenience init(forBatchesOf model: ReversibleModel, kernels: Kernels, pool: WorkerPool) {
        self.init(model: model, capacity: 32, kernels: kernels, pool: pool)
    }

    /// The trajectories of a batch's images, run to their ends.
    func passes(of batch: Batch, taps: [ResolvedTap] = [], wantsLogits: Bool = false) -> [Trajectory] {
        let size = model.stateCount
        var passes = batch.labels.indices.map { n in
            trajectory(input: Array(batch.pixels[(n * size)..<((n + 1) * size)]), taps: taps, wantsLogits: wantsLogits)
        }
        run(&passes)
        return passes
    }
}
