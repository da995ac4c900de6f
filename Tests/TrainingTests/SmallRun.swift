import Augmentation
import FlowModel
import Foundation
import ImagePipeline
import Layers
import ModelFixtures
import Networks
import Tensor
import TestFixtures

@testable import Training

/// Runs of the smallest network on images that are made up.
struct SmallRun {
    static let architecture = UNetArchitecture(
        modelChannels: 32, residualBlocks: 1, channelMultipliers: [1], attentionDownsampling: [], heads: 2,
        imageSize: 16)
    static let batchesPerEpoch = 3

    let trainer: Trainer
    let files: TrainingRun.Files

    init(
        in folder: URL, head: Flow? = nil, coupling: ProbabilityPath = .otcfm, seed: UInt64 = 1, rate: Double = 2e-3,
        average: Double = 0.9, steps: Int = 100, workers: Int = 2, parts: Int? = nil,
        flowWeight: Double = 0, validation: DataFeed? = nil
    ) throws {
        let sums: GradientSums = parts == nil ? .fastest : .independentOfWorkers
        let pool = WorkerPool(count: workers)
        files = TrainingRun.Files(folder: folder.path)
        let learner: any Learner
        if let head {
            let tuning = try FineTuningLearner(
                Self.classifier(of: head), smoothing: 0.1, flowWeight: flowWeight, capacity: 4, sums: sums,
                validation: validation, kernels: .best, pool: pool)
            WeightInitialization.initialize(tuning.store, seed: seed)
            learner = tuning
        } else {
            learner = PretrainingLearner(
                try Self.architecture.program(), flow: .path(coupling), seed: seed, capacity: 4, sums: sums,
                validation: validation, kernels: .best, pool: pool)
        }
        trainer = Trainer(
            learner, settings: Self.settings(rate: rate, clip: 10, seed: Int(seed), average: average, steps: steps),
            batchesPerEpoch: 1, computation: "\(workers) workers",
            division: parts.map { BatchDivision(parts: $0, ranks: nil) }, pool: pool)
    }

    /// A classifier of two steps.
    static func classifier(of flow: Flow, headAt place: ActivationMeans? = nil) -> ModelConfiguration {
        ModelConfiguration(
            name: "small", architecture: architecture,
            head: HeadConfiguration(pooledSize: 4, hiddenWidth: 8, classes: 2, place: place), flow: flow,
            grid: TimeGridConfiguration(count: 3), preprocessing: .reference(imageSize: 16))
    }

    /// Settings of a run whose learning rate falls over so many steps.
    static func settings(
        rate: Double, decay: Double = 0.05, clip: Double? = nil, seed: Int = 1, average: Double = 0, steps: Int
    ) -> TrainingSettings {
        TrainingSettings(
            recipe: TrainingSettings.Recipe(
                batchSize: 8, learningRate: rate, warmUpEpochs: 0, schedule: .cosine, weightDecay: decay,
                averageDecay: average, clip: clip, seed: seed, epochs: steps, augmentation: AugmentationPolicy()))
    }

    /// Images that are darker or lighter, which their labels say.
    static func batch(_ epoch: Int, _ index: Int) -> Batch {
        var generator = SeededGenerator(seed: UInt64(1 + index))
        let labels = (0..<8).map { $0 % 2 }
        let pixels = labels.flatMap { label in
            generator.floats(3 * 16 * 16).map { 0.5 * $0 + Float(label) - 0.5 }
        }
        return Batch(epoch: epoch, index: index, pixels: pixels, labels: labels)
    }

    /// Six pictures of each of two classes in three batches, to validate on.
    static func pictures(in folder: URL) throws -> DataFeed {
        var generator = SeededGenerator(seed: 9)
        for (name, level) in [("dark", Float(60)), ("light", 160)] {
            let place = folder.appending(path: name)
            try FileManager.default.createDirectory(at: place, withIntermediateDirectories: true)
            for index in 0..<6 {
                let pixels = generator.floats(3 * 16 * 16).map { UInt8(level + 40 * $0) }
                let picture = RGBImage(width: 16, height: 16, pixels: pixels)
                try Data(picture.png()).write(to: place.appending(path: "\(index).png"))
            }
        }
        var configuration = DataFeed.Configuration(batchSize: 4, seed: 0)
        configuration.shuffles = false
        configuration.remainder = .kept
        return DataFeed(
            LabelledSubset(try LabelledImages(at: folder.path)), preprocessing: try preprocessing(), configuration)
    }

    static func preprocessing() throws -> Preprocessing {
        try Preprocessing(
            resizeShorterSide: 16, cropSize: 16, mean: [0.5, 0.5, 0.5], standardDeviation: [0.5, 0.5, 0.5])
    }

    /// Nothing to classify by, and a head after a flow of either kind.
    static let heads: [Named<Flow?>] = [
        Named("no head", nil), Named("icfm", .path(.icfm)), Named("epsilon", .parametrised(Prediction.epsilon.flow)),
    ]

    /// Runs, asking `isInterrupted` with the steps taken after every one of them and before every batch of validation.
    @discardableResult
    func run(
        epochs: Int, resumes: Bool = false, restartsSchedule: Bool = false, interval: Duration = .seconds(3600),
        leastInterval: Duration = .zero,
        now: @escaping () -> Duration = { .zero },
        stepLog: String? = nil, batch: (Int, Int) throws -> Batch = { batch($0, $1) },
        keepModel: @escaping (Trainer) throws -> Void = { _ in },
        drawSamples: ((Trainer, _ epoch: Int) throws -> Void)? = nil,
        isInterrupted: @escaping (Int) -> Bool = { _ in false }
    ) throws -> TrainingRun.Ending {
        let trainer = trainer
        let observer = TrainingRun.Observer(
            now: now, isInterrupted: { isInterrupted(trainer.record.step) }, stepped: { _, _ in }, epochEnded: { _ in },
            keepModel: keepModel, drawSamples: drawSamples)
        let plan = TrainingRun.Plan(
            epochs: epochs, batchesPerEpoch: Self.batchesPerEpoch, checkpointInterval: interval,
            leastSaveInterval: leastInterval)
        let run = try TrainingRun(
            trainer, plan: plan, files: files, resumes: resumes, restartsSchedule: restartsSchedule, stepLog: stepLog,
            observer: observer)
        return try run.run {
            try batch(trainer.record.epoch, trainer.record.sums.batches)
        }
    }

    /// Weights, and what would be kept.
    var weights: [Float] {
        let store = trainer.learner.store
        return Array(UnsafeBufferPointer(start: store.values, count: store.count))
            + store.shapes.flatMap { trainer.weights($0.key) }
    }
}
