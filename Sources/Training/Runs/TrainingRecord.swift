/// The position of a run, and everything that its numbers depend on except the weights: what a state file says in addition
/// to its tensors.
package struct TrainingRecord: Codable, Sendable, Equatable {
    /// The format that this build writes. It also reads 1, whose settings are texts.
    package static let currentFormatVersion = 2

    package struct Epoch: Codable, Sendable, Equatable {
        /// Counted from 1.
        package var epoch: Int
        package var step: Int
        /// The learning rate of the epoch's last step.
        package var learningRate: Double
        /// The mean loss of the epoch's batches, each before its step.
        package var loss: Double
        /// The fraction of the epoch's images whose class was found, each before its step; nil without classes.
        package var top1: Double?
        /// The mean loss of the flow, where it is learnt in addition to classes.
        package var flowLoss: Double?
        /// The score on images held back; nil if there are none.
        package var validation: ValidationScore?
        package var seconds: Double
        package var images: Int
    }

    package struct Sums: Codable, Sendable, Equatable {
        package var batches = 0
        package var images = 0
        /// The sum of each batch's loss times its images.
        package var loss = 0.0
        /// Images whose class was found; nil without classes.
        package var correct: Int?
        /// The sum of each batch's loss of the flow times its images; nil where it isn't learnt in addition to classes.
        package var flowLoss: Double?
        package var seconds = 0.0
    }

    package var formatVersion = Self.currentFormatVersion
    package var settings: RecordedSettings
    /// What the last bits of sums depend on as well, such as `avx512 kernels, 2 workers, 16 images at a time`; a run may
    /// go on under another, but not bit-identically.
    package var computation: String
    /// The options that the run was given, as they were written, by their names without hyphens; paths are absolute. Nil in
    /// states of before they were recorded.
    package var options: [String: String]?
    /// The step at which the learning-rate schedule last began again; nil if it never did.
    package var scheduleStart: Int?
    /// Of a run that solves for a head: how many images of each part of the data are done, damaged ones included.
    package var featuresDone: [String: Int]?
    package var step = 0
    package var epoch = 0
    package var sums = Sums()
    package var history: [Epoch] = []
    /// The score of the model that is kept; nil if none has been judged.
    package var best: ValidationScore?

    package init(settings: TrainingSettings, computation: String, options: [String: String]? = nil) {
        self.settings = .settings(settings)
        self.computation = computation
        self.options = options
    }

    /// The settings that may change where the learning-rate schedule begins again.
    package static let scheduleSettings: Set<String> = [
        "--epochs", "--learning-rate", "--final-learning-rate", "--warm-up", "--schedule",
    ]

    /// What differs between this run's settings and those of a continuation, such as `--batch-size was 128 and is 64`.
    ///
    /// - Parameter free: settings that may differ.
    package func differences(to settings: TrainingSettings, but free: Set<String> = []) -> [String] {
        let (before, after) = (self.settings.descriptions, settings.descriptions)
        return Set(before.keys).union(after.keys).subtracting(free).sorted().compactMap { key in
            let (was, now) = (before[key], after[key])
            return was == now ? nil : "\(key) was \(was ?? "not given") and is \(now ?? "not given")"
        }
    }
}
