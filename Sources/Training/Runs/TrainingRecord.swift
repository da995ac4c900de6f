/// Where a run stands, and all that its numbers depend on but the weights: what a state file says beside its tensors.
public struct TrainingRecord: Codable, Sendable, Equatable {
    /// The format that this build writes and reads.
    public static let currentFormatVersion = 1

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
    /// What the numbers depend on, by the name of the option that says it.
    public var settings: [String: String]
    /// What the last bits of sums depend on as well, such as `avx512 kernels, 2 workers, 16 images at a time`; a run may
    /// go on under another, but not bit-identically.
    public var computation: String
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
    public init(settings: [String: String], computation: String) {
        self.settings = settings
        self.computation = computation
    }

    /// What differs between this run's settings and those of a continuation, such as `--batch-size was 128 and is 64`.
    public func differences(to settings: [String: String]) -> [String] {
        Set(self.settings.keys).union(settings.keys).sorted().compactMap { key in
            let (was, now) = (self.settings[key], settings[key])
            return was == now ? nil : "\(key) was \(was ?? "not given") and is \(now ?? "not given")"
        }
    }
}
