import Arguments
import Augmentation
import CheckpointFormats
import Console
import Differentiation
import FeatureService
import FlowModel
import ImagePipeline
import ReverseODE
import Tensor
import Training

/// `headwater finetune`: classes through the reverse pass.
enum FineTuneCommand: Subcommand {
    enum Frozen: String, CaseIterable, Sendable { case none, flow }
    enum Balance: String, CaseIterable, Sendable { case none, classes }

    private static let recipe = RecipeOptions(
        epochs: 200, warmUp: 5, schedule: .cosine, weightDecay: 0.05, averageDecay: 0, augmentation: .full)

    private static let model = Positional(
        "MODEL", optional: .file, help: "A model file from pretraining or an import. The default is the bundled model.")
    private static let classes = TrainingOptions.classes(
        help: "Train only on these classes. Images of other classes are ignored, in --validation too.")
    private static let validationLabels = Option(
        "validation-labels", optional: .file,
        help: "A CSV file in the form of --labels, for the images of the data set that --validation names.")
    private static let labelsPerClass = Option(
        "labels-per-class", optional: .integer(in: 1...1_000_000),
        help: "Train only on this number of images of every class, after --validation has held its images back. "
            + "--split-seed determines which. A run with 10 images of a class uses a subset of those of a run with 40.")
    private static let balance = Option(
        "balance", .choice("WHAT", of: Balance.self), default: .none,
        help: "classes draws every class equally often. An epoch keeps its number of images, but it repeats images of "
            + "rare classes and leaves out images of frequent ones, different ones in each epoch. With --freeze flow, "
            + "every class has the same weight in the loss instead.")
    private static let freeze = Option(
        "freeze", .choice("WHAT", of: Frozen.self), default: .none,
        help: "flow leaves the network as it is and solves for a linear head on features that are computed once, "
            + "without augmentation: there is no learning rate to choose.")
    private static let fromScratch = Option(
        flag: "from-scratch",
        help: "Start with random weights in the model's architecture instead of its trained weights.")
    private static let headPlace = Option(
        "head-place", optional: .headPlace,
        help: "What the head reads at --head-at: state is the pooled state, as in the paper; the others are "
            + "means of the network's activations, at middle, down.N or up.N, over the image or over each cell of a grid, as "
            + "in up.1:2x2. The default is the model's.")
    private static let hiddenWidth = Option(
        "head-width", optional: .integer(in: 0...65_536),
        help: "The width of the head's hidden layer; 0 makes a linear head without one. The default is the model's; in "
            + "a new head, the channels at its place, or the width of the pooled state.")
    private static let penalty = Option(
        "penalty", optional: .number("PENALTY", in: 1e-9...1e3),
        help: "With --freeze flow: half of this number times the squared weights of the head is added to its loss. The "
            + "default is the one of \(LinearHead.penalties.map { "\($0)" }.joined(separator: ", ")) with the least "
            + "validation loss; without --validation, 10 divided by the number of images.")
    private static let learningRate = Option(
        "learning-rate", optional: .number("RATE", in: 1e-9...10),
        help: "The learning rate after the warm-up. The default is 1.25e-4 times the batch size divided by 512.")
    private static let finalRate = Option(
        "final-learning-rate", .number("RATE", in: 0...10), default: 0,
        help: "The learning rate at the end of a cosine schedule.")
    private static let smoothing = Option(
        "label-smoothing", .number("PART", in: 0...0.99), default: 0.1,
        help: "The fraction of the target that is spread over all classes.")
    private static let forwardSteps = Option(
        "forward-steps", optional: .integer(in: 0...10_000),
        help:
            "The number of Euler steps to take from the image before the head reads. With 0, a head at --head-place "
            + "trains on the image itself, which is faster and suits a first phase. The default is all steps to "
            + "--head-at. Validation always takes all steps.")
    private static let gradientSteps = Option(
        "gradient-steps", optional: .integer(in: 0...10_000),
        help: "The number of Euler steps, counted back from the last, that the gradient passes through. With 0, "
            + "training reaches only the evaluation that a head at --head-place reads. The default is all steps.")

    private static let flowWeight = Option(
        "flow-weight", .number("WEIGHT", in: 0...1000), default: 0,
        help:
            "Add the loss of pretraining, times this weight, to the loss of the classes, so that the network remains a "
            + "flow that goes to noise and back. It is computed on the same images or those of --flow-data, flipped at "
            + "random if --augment flips images, and otherwise unchanged.")
    private static let flowData = Option(
        "flow-data", optional: .file,
        help:
            "The images on which --flow-weight's loss is computed: a folder or archive, whose classes are ignored. With "
            + "it, few labels suffice to classify, while the flow learns from many images without labels. The default is "
            + "the images of --data.")
    private static let flowShare = Option(
        "flow-share", .number("PART", in: 0.001...1), default: 1,
        help:
            "The pairs of noise and image on which --flow-weight's loss is computed, as a fraction of the batch. With 0.25, "
            + "a step takes much less time; the expected loss stays the same, but its gradient is noisier.")

    static let command = Command(
        name: "finetune", abstract: "train a model to classify images",
        discussion: """
            The reverse pass runs from every image along the grid. At the time --head-at, a head reads the pooled state or the \
            network's activations. The gradient of the cross-entropy passes back through every step, into the network and the \
            head. The classes are the names of the folders that contain the images, or the labels of --labels, sorted by name. \
            The head is kept if the model has these classes, this place and this width; otherwise a new one is made. The model \
            keeps its name and its default tap, except that a tap at the end moves to the head's time with --head-at. The \
            command says what is kept and what is new when training begins.

            Every epoch rewrites log.csv and progress.svg in the output folder and saves state.safetensors, from which \
            --resume continues bit for bit. If epochs take less than 10 seconds, these files are written about every 10 \
            seconds. SIGINT and SIGTERM save the state and exit with 0. model.safetensors can be \
            served at once.

            With --freeze flow, every image goes through the network once. The head is the solution of a convex problem on \
            what it reads: multinomial logistic regression after a LayerNorm. It doesn't depend on a seed or a schedule, \
            so options for these are refused. With --validation, no option needs tuning; without it, only --penalty does. \
            --resume reuses the computed features and solves again under another --penalty in seconds.
            """,
        options: TrainingOptions.outputs(name: TrainingOptions.keptName) + [
            OptionGroup("Images", [DataOptions.labels, validationLabels]),
            [
                TapOptions.defaultTap, classes, labelsPerClass, GridOptions.span, GridOptions.cutoff,
                GridOptions.headTime, freeze, fromScratch, headPlace, hiddenWidth,
            ],
            OptionGroup(
                "Recipe",
                [
                    recipe.epochs, TrainingOptions.batchSize, learningRate, finalRate, recipe.warmUp, recipe.schedule,
                    recipe.weightDecay, smoothing, balance, forwardSteps, gradientSteps, flowWeight,
                    flowData, flowShare, recipe.averageDecay, TrainingOptions.clip, TrainingOptions.seed,
                    recipe.augmentation, TrainingOptions.restartSchedule, penalty,
                ]),
            TrainingOptions.computation,
        ],
        positionals: [model],
        examples: [
            "Fine-tune, keeping the best model on a tenth held back:":
                "headwater finetune pretrained/model.safetensors --data train.tar --validation 0.1 --t-span 17 "
                + "--head-at 1 --head-place up.1 --default-tap 1/up.1 --flow-weight 0.5 -o finetuned",
            "Teach the bundled model your own classes, from a few dozen images of each, in a minute:":
                "headwater finetune --data flowers --validation 0.2 --freeze flow -o head",
            "Resume an interrupted run:": "headwater finetune --resume -o finetuned",
            "Train a finished run for longer:":
                "headwater finetune --resume --restart-schedule --epochs 300 -o finetuned",
        ],
        recall: TrainingOptions.recall)

    static let isInterruptible = true

    @MainActor
    static func run(_ arguments: ParsedArguments) throws -> ExitStatus {
        try requireSense(arguments)
        let division = try TrainingOptions.division(arguments)
        try arguments.require(
            division == nil || arguments[freeze] == .none, of: freeze,
            "--freeze flow runs in a single process, and mpirun started several", remedy: "start it without mpirun")
        let computation = try Computation(arguments, in: .f32)
        let base = try ModelFile(ModelSource.file(try arguments[model]))
        try base.requireFiniteWeights()
        let data = try TrainingData(
            arguments, ignoringClasses: false, classes: try arguments[self.classes],
            labels: try DataOptions.labels(arguments), validationLabels: try validationLabels(arguments),
            labelsPerClass: try arguments[labelsPerClass], flowData: try arguments[flowData])
        let tuned = try tunedModel(arguments, base: base, classes: data.images.classes)
        let configuration = tuned.configuration
        let preprocessing = try Preprocessing(configuration.preprocessing)
        let source = FineTuningSource(
            tuned: tuned, base: base, data: data, preprocessing: preprocessing, computation: computation)
        let settings = try settings(arguments, source)
        guard try arguments[freeze] == .none else { return try solve(arguments, source, settings, computation) }
        try requireSomethingToLearn(arguments, configuration)
        try recipe.requireEffect(arguments, finalRate: finalRate)
        let feed = try data.trainingFeed(
            arguments, preprocessing, recipe, balancesClasses: try arguments[balance] == .classes,
            learnsFlow: try arguments[flowWeight] > 0)
        return try TrainingOptions.train(
            arguments, of: command, settings, epochs: try arguments[recipe.epochs], feed: feed, data: data,
            configuration, division: division, on: computation
        ) {
            for note in tuned.notes { Terminal.report(note) }
            return try source.learner(
                smoothing: try arguments[smoothing], forwardSteps: try arguments[forwardSteps],
                gradientSteps: try arguments[gradientSteps], flowWeight: try arguments[flowWeight],
                flowShare: try arguments[flowShare], capacity: try arguments[TrainingOptions.capacity],
                sums: division == nil ? .fastest : .independentOfWorkers,
                seed: UInt64(try arguments[TrainingOptions.seed]), isFromScratch: try arguments[fromScratch])
        }
    }

    /// Leaves the flow as it is and solves for the head.
    @MainActor
    private static func solve(
        _ arguments: ParsedArguments, _ source: FineTuningSource, _ settings: TrainingSettings,
        _ computation: Computation
    ) throws -> ExitStatus {
        let files = try TrainingOptions.files(arguments)
        let model = try TrainingOptions.selfTested(source.tuned.configuration, arguments, on: computation)
        let training = HeadTraining(
            source, files: files, settings: settings, computation: "\(computation.kernels.name) kernels",
            options: TrainingOptions.remembered(arguments, of: command), penalty: try arguments[penalty],
            balancesClasses: try arguments[balance] == .classes, type: try arguments[TrainingOptions.type].elementType,
            checkpointInterval: try TrainingOptions.checkpointInterval(arguments),
            writeModel: { try model.write(to: files.model, weights: $0) })
        let resumes = try arguments[TrainingOptions.resume]
        return try arguments[TrainingOptions.dryRun]
            ? training.rehearse(resumes: resumes) : training.run(resumes: resumes)
    }

    /// Options that mean something only where the network learns.
    private static let learningOptions: [any CommandOption] = [
        recipe.epochs, TrainingOptions.batchSize, learningRate, finalRate, recipe.warmUp, recipe.schedule,
        recipe.weightDecay, smoothing, forwardSteps, gradientSteps, flowWeight, flowData, flowShare,
        recipe.averageDecay, TrainingOptions.clip, TrainingOptions.seed, recipe.augmentation, TrainingOptions.capacity,
        TrainingOptions.batchParts, TrainingOptions.stepLog,
    ]

    /// Refuses options that don't go with --freeze as it is.
    private static func requireSense(_ arguments: ParsedArguments) throws {
        guard try arguments[freeze] == .flow else {
            if try arguments[flowWeight] == 0 {
                try arguments.refuse(
                    [flowData, flowShare], "without --flow-weight, no loss of the flow is taken",
                    remedy: "leave it out, or give --flow-weight")
            }
            return try arguments.refuse(
                [penalty], "it has no effect without --freeze flow",
                remedy: "leave it out, or give --freeze flow; training has --weight-decay")
        }
        try arguments.refuse(
            learningOptions,
            "--freeze flow solves a convex problem, which this option doesn't change",
            remedy: "leave it out, or leave out --freeze flow; only --penalty can be chosen")
        let remedy = "leave it out, or leave out --freeze flow"
        try arguments.require(
            !arguments[fromScratch], of: fromScratch,
            "a network of random weights that are never trained has no features", remedy: remedy)
        try arguments.require(
            !arguments[TrainingOptions.restartSchedule], of: TrainingOptions.restartSchedule,
            "--freeze flow has no learning-rate schedule", remedy: remedy)
        try arguments.require(
            arguments[hiddenWidth] ?? 0 == 0, of: hiddenWidth,
            "--freeze flow makes a linear head, which has no hidden layer", remedy: remedy)
    }

    private static func tunedModel(
        _ arguments: ParsedArguments, base: ModelFile, classes: [String]
    ) throws -> FineTunedModel {
        guard classes.count > 1 else {
            throw CommandFailure(
                .unusableData,
                "\(try arguments[TrainingOptions.data]): there is only one class, \(classes[0]); give images of at "
                    + "least two")
        }
        var wishes = FineTunedModel.Wishes(grid: try GridOptions.grid(arguments, of: base.configuration))
        wishes.name = try arguments[TrainingOptions.keptName]
        wishes.defaultTap = try arguments[TapOptions.defaultTap]
        wishes.headPlace = try arguments[headPlace]
        wishes.headTime = try arguments[GridOptions.headTime]
        wishes.headWidth = try arguments[hiddenWidth]
        wishes.isFromScratch = try arguments[fromScratch]
        wishes.isHeadSolved = try arguments[freeze] == .flow
        wishes.trainsFlow = try arguments[flowWeight] > 0
        do {
            return try GridOptions.locatingHeadTime(arguments) {
                try FineTunedModel(of: base.configuration, classes: classes, wishes)
            }
        } catch let error as TapError {
            throw UsageError(
                error.description, at: arguments.place(of: TapOptions.defaultTap),
                remedy: "'headwater inspect' lists the times and places of the model's own grid")
        }
    }

    /// Refuses steps that leave nothing but a head to learn.
    private static func requireSomethingToLearn(
        _ arguments: ParsedArguments, _ configuration: ModelConfiguration
    ) throws {
        guard configuration.head?.place == nil else { return }
        let problem = "a head that reads the state can train the network only through at least one step"
        for option in [forwardSteps, gradientSteps] {
            try arguments.require(
                arguments[option] != 0, of: option, problem,
                remedy: "give 1 or more, or --freeze flow, or a --head-place")
        }
        try arguments.require(
            configuration.head?.point != 0, of: GridOptions.headTime, problem,
            remedy: "give a later time, or --freeze flow, or a --head-place")
    }

    private static func validationLabels(_ arguments: ParsedArguments) throws -> ImageLabels? {
        guard let labels = try DataOptions.labels(arguments, validationLabels) else { return nil }
        guard case .dataSet = try arguments[TrainingOptions.validation] else {
            throw UsageError(
                "it labels a data set given by --validation, and there is none",
                at: arguments.place(of: validationLabels),
                remedy: "give --validation a data set, or leave it out: images held back from --data have their labels")
        }
        return labels
    }

    private static func rate(_ arguments: ParsedArguments) throws -> Double {
        try arguments[learningRate] ?? 1.25e-4 * Double(try arguments[TrainingOptions.batchSize]) / 512
    }

    /// What the numbers depend on; of a head that is solved for, what its features depend on.
    @MainActor
    private static func settings(_ arguments: ParsedArguments, _ source: FineTuningSource) throws -> TrainingSettings {
        let configuration = source.tuned.configuration
        let isSolved = try arguments[freeze] == .flow
        let learning = TrainingSettings.FineTuning.Learning(
            isFromScratch: try arguments[fromScratch], headWidth: configuration.head!.hiddenWidth ?? 0,
            finalLearningRate: try arguments[finalRate], labelSmoothing: try arguments[smoothing],
            balancesClasses: try arguments[balance] == .classes, forwardSteps: try arguments[forwardSteps],
            gradientSteps: try arguments[gradientSteps],
            flowWeight: try arguments[flowWeight] > 0 ? try arguments[flowWeight] : nil,
            flowShare: try arguments[flowShare] < 1 ? try arguments[flowShare] : nil)
        return TrainingSettings(
            recipe: isSolved ? nil : try recipe.settings(arguments, peak: try rate(arguments)),
            fineTuning: TrainingSettings.FineTuning(
                model: try source.base.shortDigest, grid: configuration.grid,
                headPlace: configuration.head!.place?.description,
                headTime: configuration.head!.point == nil ? nil : configuration.headTime!.written,
                classes: try arguments[classes],
                learning: isSolved ? nil : learning, solver: isSolved ? configuration.solver : nil),
            images: source.data.settings)
    }
}
