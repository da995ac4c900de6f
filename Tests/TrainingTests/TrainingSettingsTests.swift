import Augmentation
import FlowModel
import Foundation
import JSON
import Testing

@testable import Training

/// Keeps the promise that what a run's numbers depend on is compared whole, with states of former versions too.
@Suite("Training settings")
struct TrainingSettingsTests {
    private static let pretraining: TrainingSettings = {
        var images = TrainingSettings.Images(training: "a1b2")
        (images.heldBack, images.splitSeed) = (0.1, 7)
        return TrainingSettings(
            recipe: recipe(.constant),
            pretraining: TrainingSettings.Pretraining(
                architecture: UNetArchitecture(
                    modelChannels: 32, residualBlocks: 1, channelMultipliers: [1, 2], attentionDownsampling: [],
                    heads: 4, imageSize: 16), coupling: .otcfm),
            images: images)
    }()

    private static let fineTuning = TrainingSettings(
        recipe: recipe(.cosine),
        fineTuning: TrainingSettings.FineTuning(
            model: "c3d4", grid: TimeGridConfiguration(count: 9, cutoff: 5), headPlace: "middle", classes: ["b", "a"],
            learning: TrainingSettings.FineTuning.Learning(
                isFromScratch: false, headWidth: 0, finalLearningRate: 0, labelSmoothing: 0.1, balancesClasses: true,
                forwardSteps: nil, gradientSteps: 2), solver: nil),
        images: TrainingSettings.Images(training: "a1b2"))

    private static func recipe(_ schedule: LearningRateSchedule.Shape) -> TrainingSettings.Recipe {
        TrainingSettings.Recipe(
            batchSize: 128, learningRate: 1e-4, warmUpEpochs: 5, schedule: schedule, weightDecay: 0.05,
            averageDecay: 0.9999, clip: nil, seed: 1, epochs: 30, augmentation: AugmentationPolicy(flips: true))
    }

    @Test("Settings are the same after they were written and read", arguments: ["pretrain", "finetune"])
    func roundTrip(command: String) throws {
        let recorded = RecordedSettings.settings(command == "pretrain" ? Self.pretraining : Self.fineTuning)
        #expect(try JSONCoder.decode(RecordedSettings.self, from: JSONCoder.encode(recorded)) == recorded)
    }

    @Test("Their descriptions are the texts that states of version 0.2 hold")
    func descriptions() throws {
        let recipe = [
            "--batch-size": "128", "--learning-rate": "0.0001", "--warm-up": "5.0", "--weight-decay": "0.05",
            "--ema-decay": "0.9999", "--clip": "none", "--seed": "1", "--augment": "flip",
            "the fingerprint of --data": "a1b2",
        ]
        let pretraining = [
            "the command": "pretrain", "--schedule": "constant", "--coupling": "otcfm",
            "--validation": "0.1 with --split-seed 7",
            "--architecture": #"{"attentionDownsampling":[],"channelMultipliers":[1,2],"heads":4,"imageSize":16,"#
                + #""modelChannels":32,"residualBlocks":1}"#,
        ]
        #expect(Self.pretraining.descriptions == recipe.merging(pretraining) { $1 })
        let fineTuning = [
            "the command": "finetune", "--schedule": "cosine", "--epochs": "30", "MODEL": "c3d4", "--t-span": "9",
            "--t-cutoff": "5", "--freeze": "none", "--head-place": "middle", "--classes": "a,b",
            "--from-scratch": "false", "--head-width": "0", "--final-learning-rate": "0.0",
            "--label-smoothing": "0.1", "--forward-steps": "all", "--gradient-steps": "2", "--balance": "classes",
        ]
        #expect(Self.fineTuning.descriptions == recipe.merging(fineTuning) { $1 })
    }

    @Test("What newer versions can be told is compared too, and is absent where it isn't told")
    func additions() {
        var settings = Self.fineTuning
        settings.images?.labelsPerClass = 40
        settings.images?.flow = "e5f6"
        settings.fineTuning?.headTime = "0.875"
        settings.fineTuning?.learning?.flowWeight = 0.5
        settings.fineTuning?.learning?.flowShare = 0.25
        let new = settings.descriptions.filter { Self.fineTuning.descriptions[$0.key] == nil }
        #expect(
            new == [
                "--labels-per-class": "40", "--head-at": "0.875", "--flow-weight": "0.5", "--flow-share": "0.25",
                "the fingerprint of --flow-data": "e5f6",
            ])
        settings.images?.splitSeed = 2
        #expect(settings.descriptions["--labels-per-class"] == "40 with --split-seed 2")
    }
}
