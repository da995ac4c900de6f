/// The position of a run, and everything that its numbers depend on except the weights: what a state file says in addition
/// to its tensors.
public struct TrainingRecord: Codable, Sendable, Equatable {
    /// The format that this build writes. It also reads 1, whose settings are texts.
    public static let currentFormatVersion = 2

    /// One epoch as the log has it.
    public struct Epoch: Codable, Sendable, Equatable {
        /// Counted from 1.
        public var epoch: Int
        /// Steps taken in all.
        public var step: Int
        /// The learning rate of the epoch's last step.
        public var learningRate: Double
        /// The mean loss of the epoch's batches, each before its step.
        public var loss: Double
        /// The fraction of the epoch's images whose class was found, each before its step; nil without classes.
        public var top1: Double?
        /// The score on images held back; nil if there are none.
        public var validation: ValidationScore?
        /// Time that the epoch's steps took.
        public var seconds: Double
        /// Images of the epoch.
        public var images: Int
    }

    /// Sums over the batches of the epoch under way.
    public struct Sums: Codable, Sendable, Equatable {
        /// Batches taken.
        public var batches = 0
        /// Images in them.
        public var images = 0
        /// The sum of each batch's loss times its images.
        public var loss = 0.0
        /// Images whose class was found; nil without classes.
        public var correct: Int?
        /// Time that they took.
        public var seconds = 0.0
    }

    /// Version of this document's format.
    public var formatVersion = Self.currentFormatVersion
    /// What the numbers depend on.
    public var settings: RecordedSettings
    /// What the last bits of sums depend on as well, such as `avx512 kernels, 2 workers, 16 images at a time`; a run may
    /// go on under another, but not bit-identically.
    public var computation: String
    /// The options that the run was given, as they were written, by their names without hyphens; paths are absolute. Nil in
    /// states of before they were recorded.
    public var options: [String: String]?
    /// The step at which the learning-rate schedule last began again; nil if it never did.
    public var scheduleStart: Int?
    /// Of a run that solves for a head: how many images of each part of the data are done, damaged ones included.
    public var featuresDone: [String: Int]?
    /// Optimizer steps taken.
    public var step = 0
    /// Whole epochs done.
    public var epoch = 0
    /// The epoch under way.
    public var sums = Sums()
    /// The epochs done.
    public var history: [Epoch] = []
    /// The score of the model that is kept; nil if none has been judged.
    public var best: ValidationScore?

    /// A run that has not begun.
    public init(settings: TrainingSettings, computation: String, options: [String: String]? = nil) {
        self.settings = .settings(settings)
        self.computation = computation
        self.options = options
    }

    /// The settings that may change where the learning-rate schedule begins again.
    public static let scheduleSettings: Set<String> = [
        "--epochs", "--learning-rate", "--final-learning-rate", "--warm-up", "--schedule",
    ]

    /// What differs between this run's settings and those of a continuation, such as `--batch-size was 128 and is 64`.
    ///
    /// - Parameter free: settings that may differ.
    public func differences(to settings: TrainingSettings, but free: Set<String> = []) -> [String] {
        let (before, after) = (self.settings.descriptions, settings.descriptions)
        return Set(before.keys).union(after.keys).subtracting(free).sorted().compactMap { key in
            let (was, now) = (before[key], after[key])
            return was == now ? nil : "\(key) was \(was ?? "not given") and is \(now ?? "not given")"
        }
    }
}
