import Differentiation
import FlowModel
import ImagePipeline
import Tensor
import Training

/// What fine-tuning goes out from.
@MainActor
struct FineTuningSource {
    let tuned: FineTunedModel
    /// The model that training begins with.
    let base: ModelFile
    let data: TrainingData
    let preprocessing: Preprocessing
    let kernels: Kernels
    let pool: WorkerPool

    /// Network and head together, at their first weights.
    func learner(
        smoothing: Double, forwardSteps: Int?, gradientSteps: Int?, capacity: Int, seed: UInt64, isFromScratch: Bool
    ) throws -> FineTuningLearner {
        let learner = try FineTuningLearner(
            tuned.configuration, smoothing: smoothing, forwardSteps: forwardSteps, gradientSteps: gradientSteps,
            capacity: capacity, validation: data.validationFeed(preprocessing), kernels: kernels, pool: pool)
        let keepsHead = tuned.keepsHead
        func isKept(_ key: String) -> Bool { key.hasPrefix("classifier.") ? keepsHead : !isFromScratch }
        WeightInitialization.initialize(learner.store, seed: seed) { !isKept($0) }
        try learner.store.load(base, where: isKept)
        return learner
    }
}
