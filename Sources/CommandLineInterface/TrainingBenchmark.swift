import Arguments
import Augmentation
import FlowModel
import FoundationEssentials
import Machine
import ReverseODE
import Tensor
import Training

/// Times the steps of training: forward, backward and the optimizer's update, by what `headwater pretrain` and `finetune`
/// run, on images that are there already.
struct TrainingBenchmark {
    /// What is trained.
    enum Stage: String, CaseIterable, Codable, Sendable {
        /// The velocity of the flow, by Adam.
        case pretrain
        /// Classes through the whole reverse pass, network and head, by AdamW.
        case finetune
    }

    /// One row of the table.
    struct Measurement: Codable, Sendable {
        let model: String
        let stage: Stage
        /// Images of a step.
        let batch: Int
        /// Images whose activations are in memory together.
        let imagesAtATime: Int
        /// Euler steps that a step of fine-tuning goes through; 1 evaluation for pretraining.
        let evaluations: Int
        /// Milliseconds a step.
        let step: Benchmark.Spread
        /// From the median step.
        let imagesPerSecond: Double
    }

    let name: String
    let configuration: ModelConfiguration
    let capacity: Int
    let kernels: Kernels
    let pool: WorkerPool

    /// Classes of the head where a model has none.
    private static let classes = 10

    /// What to train by the name that `--model` has for it: a network of random weights, or that of a model file.
    ///
    /// Weights are random in any case, since time doesn't depend on them.
    static func configuration(_ name: String, evaluations: Int) throws -> ModelConfiguration {
        var configuration: ModelConfiguration
        if let network = Benchmark.networks.first(where: { $0.name == name }) {
            configuration = Benchmark.configuration(network.architecture, name: name, evaluations: evaluations)
        } else {
            configuration = try ModelFile(ModelSource.file(name == "bundled" ? nil : name, access: .onDemand))
                .configuration
            configuration.solver = .euler
        }
        if configuration.head == nil {
            var head = HeadConfiguration(
                pooledSize: min(16, configuration.architecture.imageSize), hiddenWidth: 1, classes: classes)
            head.hiddenWidth = head.inputWidth(on: try configuration.network())
            configuration.head = head
        }
        return configuration
    }

    /// Measures steps for about `seconds`, at least three, after one that is not counted.
    func measure(_ stage: Stage, batch: Int, seconds: Double) throws -> Measurement {
        let trainer = try trainer(stage)
        let data = Batch(
            epoch: 0, index: 0, pixels: pixels(count: batch),
            labels: (0..<batch).map { $0 % configuration.head!.classes })
        var steps: [Double] = []
        let clock = ContinuousClock()
        _ = try trainer.step(data)
        let start = clock.now
        while steps.count < 3 || start.duration(to: clock.now) < .seconds(seconds) {
            let began = clock.now
            _ = try trainer.step(data)
            steps.append(began.duration(to: clock.now) / .milliseconds(1))
        }
        let spread = Benchmark.Spread(steps)
        return Measurement(
            model: name, stage: stage, batch: batch, imagesAtATime: capacity,
            evaluations: stage == .pretrain ? 1 : TimeGrid(configuration.grid, path: configuration.path).steps,
            step: spread, imagesPerSecond: Double(batch) / spread.median * 1e3)
    }

    private func trainer(_ stage: Stage) throws -> Trainer {
        let learner: any Learner
        switch stage {
        case .pretrain:
            learner = PretrainingLearner(
                try configuration.network(), coupling: configuration.path, seed: 1,
                capacity: capacity, validation: nil, kernels: kernels, pool: pool)
        case .finetune:
            let finetuning = try FineTuningLearner(
                configuration, smoothing: 0.1, capacity: capacity, validation: nil, kernels: kernels, pool: pool)
            WeightInitialization.initialize(finetuning.store, seed: 1)
            learner = finetuning
        }
        return Trainer(
            learner,
            recipe: Trainer.Recipe(
                schedule: LearningRateSchedule(peak: 1e-4, warmUpSteps: 0, totalSteps: 1, shape: .constant),
                optimizer: AdamW.Settings(weightDecay: stage == .pretrain ? 0 : 0.05)),
            settings: [:], computation: "", pool: pool)
    }

    /// Noise in the range of normalised images, other for every image.
    private func pixels(count: Int) -> [Float] {
        let size = 3 * configuration.architecture.imageSize * configuration.architecture.imageSize
        let random = CounterGenerator(seed: 1, purpose: .validationNoise, step: 0)
        return (0..<count * size).map { 4 * random.uniform($0) - 2 }
    }
}

/// `headwater bench --training`.
enum TrainingBenchCommand {
    static let stages = Option(
        "training", optional: .list(of: .choice("STAGE", of: TrainingBenchmark.Stage.self)),
        help:
            "Time steps of training instead: pretrain, finetune (through the whole reverse pass), or "
            + "both, separated by a comma.",
        group: "Training")

    static let options = [stages.specification, TrainingOptions.capacity.specification]
    static let defaultModels = ["bundled", "u32"]

    /// What is printed as JSON.
    private struct Report: Codable {
        let kernels: String
        let workers: Int
        let measurements: [TrainingBenchmark.Measurement]
        let peakResidentBytes: Int
    }

    static func run(
        _ stages: [TrainingBenchmark.Stage], models: [String], evaluations: Int, batches: [Int]?, seconds: Double,
        capacity: Int, kernels: Kernels, pool: WorkerPool, isJSON: Bool
    ) throws {
        if !isJSON {
            print("kernels \(kernels.name), \(pool.count) workers; milliseconds a step: median (least-greatest)\n")
            print(
                padded("model", 12) + padded("stage", 10) + paddedLeft("batch", 5) + paddedLeft("step", 30)
                    + paddedLeft("images/s", 10))
        }
        var measurements: [TrainingBenchmark.Measurement] = []
        for name in models {
            let benchmark = TrainingBenchmark(
                name: name, configuration: try TrainingBenchmark.configuration(name, evaluations: evaluations),
                capacity: capacity, kernels: kernels, pool: pool)
            for stage in stages {
                for batch in batches ?? [["u32", "u64"].contains(name) ? 8 : 128] {
                    let row = try benchmark.measure(stage, batch: batch, seconds: seconds)
                    measurements.append(row)
                    if !isJSON { print(text(row)) }
                }
            }
        }
        let peak = ProcessMemory.peakResidentBytes()
        guard isJSON else { return print("peak resident memory \(peak >> 20) MiB") }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        let report = Report(
            kernels: kernels.name, workers: pool.count, measurements: measurements, peakResidentBytes: peak)
        print(String(decoding: try encoder.encode(report), as: UTF8.self))
    }

    private static func text(_ row: TrainingBenchmark.Measurement) -> String {
        func decimal(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }
        let spread = "\(decimal(row.step.median)) (\(decimal(row.step.least))-\(decimal(row.step.greatest)))"
        return padded(row.model, 12) + padded(row.stage.rawValue, 10) + paddedLeft("\(row.batch)", 5)
            + paddedLeft(spread, 30) + paddedLeft(decimal(row.imagesPerSecond), 10)
    }
}
