import Augmentation
import FlowModel
import JSON

/// Apart from the code, what a run's numbers depend on: a run that continues must have the same. A state file holds it.
package struct TrainingSettings: Codable, Sendable, Equatable {
    package struct Recipe: Codable, Sendable, Equatable {
        package var batchSize: Int
        package var learningRate: Double
        package var warmUpEpochs: Double
        package var schedule: LearningRateSchedule.Shape
        package var weightDecay: Double
        /// The decay of the average of weights; 0 for none.
        package var averageDecay: Double
        /// The greatest norm of a gradient; nil for any.
        package var clip: Double?
        /// The seed of weights, order, augmentation, times and noise.
        package var seed: Int
        /// Epochs in all. Nil with a constant learning rate, which doesn't depend on them.
        package var epochs: Int?
        /// Random changes of images, as `AugmentationPolicy` writes them.
        package var augmentation: String

        /// Describes a recipe.
        ///
        /// - Parameter epochs: counts only with a schedule that depends on it.
        package init(
            batchSize: Int, learningRate: Double, warmUpEpochs: Double, schedule: LearningRateSchedule.Shape,
            weightDecay: Double, averageDecay: Double, clip: Double?, seed: Int, epochs: Int,
            augmentation: AugmentationPolicy
        ) {
            self.batchSize = batchSize
            self.learningRate = learningRate
            self.warmUpEpochs = warmUpEpochs
            self.schedule = schedule
            self.weightDecay = weightDecay
            self.averageDecay = averageDecay
            self.clip = clip
            self.seed = seed
            self.epochs = schedule == .constant ? nil : epochs
            self.augmentation = augmentation.description
        }
    }

    package struct Pretraining: Codable, Sendable, Equatable {
        package var architecture: UNetArchitecture
        /// Nil for a flow that is none of PRG's, which its model states.
        package var coupling: ProbabilityPath?
        /// The first digits of the SHA-256 of the model that training begins with; nil for random weights.
        package var model: String?

        package init(architecture: UNetArchitecture, coupling: ProbabilityPath?, model: String? = nil) {
            self.architecture = architecture
            self.coupling = coupling
            self.model = model
        }
    }

    package struct FineTuning: Codable, Sendable, Equatable {
        /// The first digits of the SHA-256 of the model that training begins with.
        package var model: String
        package var grid: TimeGridConfiguration
        /// Where the head reads; nil for the state.
        package var headPlace: String?
        /// When the head reads; nil for the end of the grid.
        package var headTime: String?
        /// The classes that were asked for, in alphabetical order; nil for all.
        package var classes: [String]?
        /// How the network learns; nil if it is frozen and the head is solved for.
        package var learning: Learning?
        /// The solver of the pass; nil if the network learns, through Euler's steps.
        package var solver: Solver?

        package struct Learning: Codable, Sendable, Equatable {
            package var isFromScratch: Bool
            /// Width of the head's hidden layer; 0 for a linear head.
            package var headWidth: Int
            package var finalLearningRate: Double
            package var labelSmoothing: Double
            package var balancesClasses: Bool
            /// Euler steps that are taken; nil for all.
            package var forwardSteps: Int?
            /// Euler steps that the gradient goes through; nil for all.
            package var gradientSteps: Int?
            /// The weight of the flow's own loss; nil for none.
            package var flowWeight: Double?
            /// The part of a batch that this loss is taken on; nil for all.
            package var flowShare: Double?

            package init(
                isFromScratch: Bool, headWidth: Int, finalLearningRate: Double, labelSmoothing: Double,
                balancesClasses: Bool, forwardSteps: Int?, gradientSteps: Int?, flowWeight: Double? = nil,
                flowShare: Double? = nil
            ) {
                self.isFromScratch = isFromScratch
                self.headWidth = headWidth
                self.finalLearningRate = finalLearningRate
                self.labelSmoothing = labelSmoothing
                self.balancesClasses = balancesClasses
                self.forwardSteps = forwardSteps
                self.gradientSteps = gradientSteps
                self.flowWeight = flowWeight
                self.flowShare = flowShare
            }
        }

        /// Describes a run of fine-tuning: one whose network learns, or one whose head is solved for.
        package init(
            model: String, grid: TimeGridConfiguration, headPlace: String?, headTime: String? = nil,
            classes: [String]?, learning: Learning?, solver: Solver?
        ) {
            self.model = model
            self.grid = grid
            self.headPlace = headPlace
            self.headTime = headTime
            self.classes = classes?.sorted()
            self.learning = learning
            self.solver = solver
        }
    }

    /// The images. Fingerprints are the first digits of a SHA-256.
    package struct Images: Codable, Sendable, Equatable {
        package var training: String
        /// The part of them that is held back; nil if none is, or another data set is validated on.
        package var heldBack: Double?
        /// How many images of every class are trained on; nil for all.
        package var labelsPerClass: Int?
        /// The seed that chooses those that are held back and those of `labelsPerClass`, if it is not the run's own seed.
        package var splitSeed: Int?
        /// The fingerprint of the data set that is validated on, if there is one.
        package var validation: String?
        /// The fingerprint of the images that the loss of the flow is taken on, if they are others.
        package var flow: String?
        /// The fingerprint of the table of labels, if there is one.
        package var labels: String?
        /// The fingerprint of the validation's table of labels, if there is one.
        package var validationLabels: String?

        package init(training: String) { self.training = training }
    }

    /// Nil for a head that is solved for.
    package var recipe: Recipe?
    /// Nil for fine-tuning.
    package var pretraining: Pretraining?
    /// Nil for pretraining.
    package var fineTuning: FineTuning?
    package var images: Images?

    package init(
        recipe: Recipe? = nil, pretraining: Pretraining? = nil, fineTuning: FineTuning? = nil, images: Images? = nil
    ) {
        self.recipe = recipe
        self.pretraining = pretraining
        self.fineTuning = fineTuning
        self.images = images
    }
}

extension ModelFile {
    /// How settings name a model that training begins with: the first digits of its SHA-256.
    ///
    /// - Throws: `FileError` if the file is read on demand and can't be.
    package var shortDigest: String { get throws { String(try sha256.description.prefix(16)) } }
}

// MARK: - As text

extension TrainingSettings {
    /// Every setting by the name that a message has for it: the option that states it, where there is one.
    ///
    /// States of version 0.2 and before hold these texts instead of the settings. Names and texts are therefore compared with
    /// theirs and must stay as they are.
    package var descriptions: [String: String] {
        let parts = [
            recipe?.descriptions, pretraining?.descriptions, fineTuning?.descriptions,
            fineTuning?.learning?.descriptions,
            images?.descriptions,
        ]
        return parts.compactMap { $0?.compactMapValues { $0 } }.reduce(into: [:]) { $0.merge($1) { $1 } }
    }
}

extension TrainingSettings.Recipe {
    fileprivate var descriptions: [String: String?] {
        [
            "--batch-size": "\(batchSize)", "--learning-rate": "\(learningRate)", "--warm-up": "\(warmUpEpochs)",
            "--schedule": schedule.rawValue, "--weight-decay": "\(weightDecay)", "--ema-decay": "\(averageDecay)",
            "--clip": clip.map { "\($0)" } ?? "none", "--seed": "\(seed)", "--augment": augmentation,
            "--epochs": epochs.map { "\($0)" },
        ]
    }
}

extension TrainingSettings.Pretraining {
    fileprivate var descriptions: [String: String?] {
        [
            "the command": "pretrain", "--architecture": (try? JSONCoder.text(architecture)) ?? "",
            "--coupling": coupling?.rawValue, "MODEL": model,
        ]
    }
}

extension TrainingSettings.FineTuning {
    fileprivate var descriptions: [String: String?] {
        [
            "the command": "finetune", "MODEL": model, "--t-span": "\(grid.count)",
            "--t-cutoff": grid.cutoff.map { "\($0)" } ?? "none", "--freeze": learning == nil ? "flow" : "none",
            "--head-place": headPlace ?? "state", "--classes": classes?.joined(separator: ","),
            "the solver": solver?.rawValue, "--head-at": headTime,
        ]
    }
}

extension TrainingSettings.FineTuning.Learning {
    fileprivate var descriptions: [String: String?] {
        [
            "--from-scratch": "\(isFromScratch)", "--head-width": "\(headWidth)",
            "--final-learning-rate": "\(finalLearningRate)", "--label-smoothing": "\(labelSmoothing)",
            "--forward-steps": forwardSteps.map { "\($0)" } ?? "all",
            "--gradient-steps": gradientSteps.map { "\($0)" } ?? "all", "--balance": balancesClasses ? "classes" : nil,
            "--flow-weight": flowWeight.map { "\($0)" }, "--flow-share": flowShare.map { "\($0)" },
        ]
    }
}

extension TrainingSettings.Images {
    private var splitSeedText: String { splitSeed.map { " with --split-seed \($0)" } ?? "" }

    fileprivate var descriptions: [String: String?] {
        [
            "the fingerprint of --data": training,
            "--validation": heldBack.map { "\($0)" + splitSeedText },
            "--labels-per-class": labelsPerClass.map { "\($0)" + splitSeedText },
            "the fingerprint of --validation": validation, "the fingerprint of --labels": labels,
            "the fingerprint of --validation-labels": validationLabels, "the fingerprint of --flow-data": flow,
        ]
    }
}

/// Settings as a state file holds them.
package enum RecordedSettings: Codable, Sendable, Equatable {
    /// As this version writes them.
    case settings(TrainingSettings)
    /// As version 0.2 and before wrote them; see ``TrainingSettings/descriptions``.
    case descriptions([String: String])

    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let texts = try? container.decode([String: String].self) {
            self = .descriptions(texts)
        } else {
            self = .settings(try container.decode(TrainingSettings.self))
        }
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .settings(let settings): try container.encode(settings)
        case .descriptions(let texts): try container.encode(texts)
        }
    }

    package var descriptions: [String: String] {
        switch self {
        case .settings(let settings): settings.descriptions
        case .descriptions(let texts): texts
        }
    }
}
