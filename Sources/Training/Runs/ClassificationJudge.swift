import Differentiation
import FlowModel
import ReverseODE
import Tensor

#if canImport(Glibc)
    import Glibc
#endif

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
    func score(_ store: ParameterStore) throws -> ValidationScore {
        let model = try ReversibleModel(configuration: configuration, pool: pool) { store.values(fileKey: $0) }
        let integrator = ReverseIntegrator(model: model, capacity: Self.batch, kernels: kernels, pool: pool)
        var tally = EvaluationTally()
        var loss = 0.0
        let batches = validation.batches()
        for _ in 0..<validation.batchesPerEpoch {
            let batch = try batches.next()
            let size = model.stateCount
            var passes = batch.labels.indices.map { n in
                integrator.trajectory(
                    input: Array(batch.pixels[(n * size)..<((n + 1) * size)]), taps: [], wantsLogits: true)
            }
            integrator.run(&passes)
            for (pass, label) in zip(passes, batch.labels) {
                let logits = pass.logits!
                tally.add(logits: logits, answer: label)
                loss += crossEntropy(logits, label: label)
            }
        }
        return ValidationScore(
            loss: loss / Double(tally.images), top1: Double(tally.top1) / Double(tally.images))
    }
}

/// −log of the probability that the logits give to a class.
func crossEntropy(_ logits: [Float], label: Int) -> Double {
    let values = logits.map(Double.init)
    let greatest = values.max()!
    return log(values.reduce(0) { $0 + exp($1 - greatest) }) + greatest - values[label]
}
