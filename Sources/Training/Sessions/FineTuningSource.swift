import FlowModel
import ImagePipeline
import Layers
import Tensor

@MainActor
package struct FineTuningSource {
    package let tuned: FineTunedModel
    package let base: ModelFile
    package let data: TrainingData
    let preprocessing: Preprocessing
    let computation: Computation

    /// Describes what fine-tuning begins with.
    ///
    /// - Parameter preprocessing: the transform of the model to make.
    package init(
        tuned: FineTunedModel, base: ModelFile, data: TrainingData, preprocessing: Preprocessing,
        computation: Computation
    ) {
        self.tuned = tuned
        self.base = base
        self.data = data
        self.preprocessing = preprocessing
        self.computation = computation
    }

    /// Network and head together, at their first weights.
    package func learner(
        smoothing: Double, forwardSteps: Int?, gradientSteps: Int?, flowWeight: Double, flowShare: Double,
        capacity: Int, sums: GradientSums, seed: UInt64, isFromScratch: Bool
    ) throws -> FineTuningLearner {
        let learner = try FineTuningLearner(
            tuned.configuration, smoothing: smoothing, forwardSteps: forwardSteps, gradientSteps: gradientSteps,
            flowWeight: flowWeight, flowShare: flowShare, seed: seed, capacity: capacity, sums: sums,
            validation: data.validationFeed(preprocessing), kernels: computation.kernels, pool: computation.pool)
        let keepsHead = tuned.keepsHead
        func isKept(_ key: String) -> Bool { key.hasPrefix("classifier.") ? keepsHead : !isFromScratch }
        WeightInitialization.initialize(learner.store, seed: seed) { !isKept($0) }
        try learner.store.load(base, where: isKept)
        return learner
    }
}
