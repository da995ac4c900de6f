import Arguments
import Augmentation
import Training

/// The options of how steps are taken that the training commands share, each command with defaults of its own.
struct RecipeOptions: Sendable {
    let epochs: Option<Int>
    let warmUp: Option<Double>
    let schedule: Option<LearningRateSchedule.Shape>
    let weightDecay: Option<Double>
    let averageDecay: Option<Double>
    let augmentation: Option<AugmentationPolicy>

    init(
        epochs: Int, warmUp: Double, schedule: LearningRateSchedule.Shape, weightDecay: Double, averageDecay: Double,
        augmentation: AugmentationPolicy
    ) {
        self.epochs = Option(
            "epochs", .integer(in: 1...1_000_000), default: epochs, help: "The number of passes over the images.")
        self.warmUp = Option(
            "warm-up", .number("EPOCHS", in: 0...10_000), default: warmUp,
            help: "The epochs over which the learning rate rises from zero.")
        self.schedule = Option(
            "schedule", .choice("SHAPE", of: LearningRateSchedule.Shape.self), default: schedule,
            help: "The schedule of the learning rate after the warm-up.")
        self.weightDecay = Option(
            "weight-decay", .number("DECAY", in: 0...10), default: weightDecay,
            help: "AdamW's weight decay, for all parameters that gradients reach. 0 gives Adam.")
        self.averageDecay = Option(
            "ema-decay", .number("DECAY", in: 0...0.999999), default: averageDecay,
            help: "The decay of the moving average of the weights. Validation scores this average, and the model file "
                + "holds it. With 0, the weights themselves are used instead.")
        self.augmentation = Option(
            "augment", .described("POLICY", rule: AugmentationPolicy.rule), default: augmentation,
            help: "Random changes of images, separated by commas: crop (shifts by up to 4 pixels at 32, a random "
                + "resized crop above), flip, randaugment=MAGNITUDE (0 to 10), jitter=STRENGTH, erasing=PROBABILITY (0 to 1); full for "
                + "all of them; or none.")
    }

    /// Refuses a final learning rate that a constant one never comes to.
    func requireEffect(_ arguments: ParsedArguments, finalRate: Option<Double>) throws {
        // What an earlier schedule of the run ended at doesn't matter to a new one.
        if case .memory = arguments.source(of: finalRate) { return }
        guard try arguments[schedule] == .constant else { return }
        try arguments.refuse(
            [finalRate], "a constant learning rate doesn't end at another one",
            remedy: "leave it out, or give --schedule cosine")
    }

    /// The recipe as a run's settings.
    ///
    /// - Parameter peak: the learning rate after the warm-up.
    func settings(_ arguments: ParsedArguments, peak: Double) throws -> TrainingSettings.Recipe {
        TrainingSettings.Recipe(
            batchSize: try arguments[TrainingOptions.batchSize], learningRate: peak,
            warmUpEpochs: try arguments[warmUp], schedule: try arguments[schedule],
            weightDecay: try arguments[weightDecay], averageDecay: try arguments[averageDecay],
            clip: try arguments[TrainingOptions.clip], seed: try arguments[TrainingOptions.seed],
            epochs: try arguments[epochs], augmentation: try arguments[augmentation])
    }
}
