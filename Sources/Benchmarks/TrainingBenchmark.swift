import FlowModel
import Plotting
import ReverseODE
import Tensor
import Training

/// Times the steps of training: forward, backward and the optimizer's update, by what `headwater pretrain` and `finetune`
/// run, on images that are there already.
package struct TrainingBenchmark {
    package enum Stage: String, CaseIterable, Codable, Sendable {
        /// The velocity of the flow, by Adam.
        case pretrain
        /// Classes through the reverse pass as far as the head reads, network and head, by AdamW.
        case finetune
    }

    package struct Measurement: TableRow {
        let model: String
        let stage: Stage
        let batch: Int
        /// Images whose activations are in memory together.
        let imagesAtATime: Int
        /// Euler steps that a step of fine-tuning goes through; 1 evaluation for pretraining.
        let evaluations: Int
        /// Milliseconds a step.
        let step: Spread
        /// From the median step.
        let imagesPerSecond: Double
    }

    private let name: String
    private let configuration: ModelConfiguration
    private let capacity: Int
    private let computation: Computation

    /// Classes of the head where a model has none.
    private static let classes = 10

    /// Trains the network of a model, with random weights, since time doesn't depend on them, and with a head of ten classes if
    /// it has none.
    ///
    /// - Parameter capacity: images whose activations are in memory together.
    /// - Throws: `ConfigurationError`.
    package init(
        _ name: String, _ configuration: ModelConfiguration, capacity: Int, on computation: Computation
    ) throws {
        var configuration = configuration
        configuration.solver = .euler
        if configuration.head == nil {
            var head = HeadConfiguration(
                pooledSize: min(16, configuration.architecture.imageSize), hiddenWidth: 1, classes: Self.classes)
            head.hiddenWidth = head.inputWidth(on: try configuration.network())
            configuration.head = head
        }
        self.name = name
        self.configuration = configuration
        self.capacity = capacity
        self.computation = computation
    }

    /// Measures steps for about `seconds`, at least three, after one that is not counted.
    package func measure(_ stage: Stage, batch: Int, seconds: Double) throws -> Measurement {
        let trainer = try trainer(stage, batch: batch)
        let data = Batch(
            epoch: 0, index: 0, pixels: pixels(count: batch),
            labels: (0..<batch).map { $0 % configuration.head!.classes })
        let spread = try Spread.measured(for: seconds) { _ = try trainer.step(data) }
        return Measurement(
            model: name, stage: stage, batch: batch, imagesAtATime: capacity,
            evaluations: stage == .pretrain ? 1 : TimeGrid(configuration).index(ofHead: configuration.head!),
            step: spread, imagesPerSecond: Double(batch) / spread.median * 1e3)
    }

    private func trainer(_ stage: Stage, batch: Int) throws -> Trainer {
        let learner: any Learner
        let (kernels, pool) = (computation.kernels, computation.pool)
        switch stage {
        case .pretrain:
            learner = PretrainingLearner(
                try configuration.network(), flow: configuration.flow,
                seed: 1,
                capacity: capacity, validation: nil, kernels: kernels, pool: pool)
        case .finetune:
            let finetuning = try FineTuningLearner(
                configuration, smoothing: 0.1, capacity: capacity, validation: nil, kernels: kernels, pool: pool)
            WeightInitialization.initialize(finetuning.store, seed: 1)
            learner = finetuning
        }
        let recipe = TrainingSettings.Recipe(
            batchSize: batch, learningRate: 1e-4, warmUpEpochs: 0, schedule: .constant,
            weightDecay: stage == .pretrain ? 0 : 0.05, averageDecay: 0, clip: nil, seed: 1, epochs: 1,
            augmentation: .none)
        return Trainer(
            learner, settings: TrainingSettings(recipe: recipe), batchesPerEpoch: 1, computation: "", pool: pool)
    }

    /// Noise in the range of normalised images, different for every image.
    private func pixels(count: Int) -> [Float] {
        let size = 3 * configuration.architecture.imageSize * configuration.architecture.imageSize
        let random = CounterGenerator(seed: 1, purpose: .validationNoise, step: 0)
        return (0..<count * size).map { 4 * random.uniform($0) - 2 }
    }
}

extension TrainingBenchmark.Measurement {
    package static let columns = TextColumns([
        ("model", -12), ("stage", -10), ("batch", 5), ("step", 30), ("images/s", 10),
    ])

    package var cells: [String] {
        [model, stage.rawValue, "\(batch)", step.text(digits: 1), "\(rounded(imagesPerSecond, 1))"]
    }
}
