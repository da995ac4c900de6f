import Augmentation
import CheckpointFormats
import Differentiation
import FlowModel
import ImagePipeline
import ReverseODE
import Tensor
import Training

/// `headwater finetune`: classes through the reverse pass.
enum FineTuneCommand {
    enum Frozen: String, CaseIterable, Sendable { case none, flow }
    enum Balance: String, CaseIterable, Sendable { case none, classes }

    private static let recipe = RecipeOptions(
        epochs: 200, warmUp: 5, schedule: .cosine, weightDecay: 0.05, averageDecay: 0)

    private static let model = Positional(
        "MODEL", optional: .file, help: "What pretraining or an import has written; the bundled model if none.")
    private static let classes = TrainingOptions.classes(
        help: "Learn only these classes and leave the others' images out, of --validation too.")
    private static let validationLabels = Option(
        "validation-labels", optional: .file,
        help: "A CSV file as --labels, of the images of a data set that --validation names.", group: "Images")
    private static let balance = Option(
        "balance", .choice("WHAT", of: Balance.self), default: .none,
        help:
            "classes draws every class equally often: an epoch has as many images as without, rare classes repeat theirs "
            + "and frequent ones leave some out, in every epoch others.", group: RecipeOptions.group)
    private static let freeze = Option(
        "freeze", .choice("WHAT", of: Frozen.self), default: .none,
        help: "flow trains the head alone, on features that are computed once and without augmentation.")
    private static let fromScratch = Option(
        flag: "from-scratch", help: "Begin with random weights in the model's architecture, as if it were not trained.")
    private static let headPlace = Option(
        "head-place", optional: .headPlace,
        help: "What the head reads: state, the pooled final state, as in the paper, or the means of the network's "
            + "activations there at middle, down.N or up.N. The model's own if not given.")
    private static let hiddenWidth = Option(
        "head-width", optional: .integer(in: 1...65_536),
        help: "Width of the head's hidden layer; if not given, the model's own, and that of its input in a new head.")
    private static let learningRate = Option(
        "learning-rate", optional: .number("RATE", in: 1e-9...10),
        help: "The learning rate after the warm-up; 1.25e-4 times the batch size over 512 if not given.",
        group: RecipeOptions.group)
    private static let finalRate = Option(
        "final-learning-rate", .number("RATE", in: 0...10), default: 0, help: "What a cosine ends at.",
        group: RecipeOptions.group)
    private static let smoothing = Option(
        "label-smoothing", .number("PART", in: 0...0.99), default: 0.1,
        help: "The part of the target that is spread over all classes.", group: RecipeOptions.group)
    private static let forwardSteps = Option(
        "forward-steps", optional: .integer(in: 0...10_000),
        help:
            "How many of the grid's Euler steps are taken before the head reads, from the image; with 0 a head at --head-place "
            + "learns on the image itself, in less time, to begin with. Validation takes all, as training does if not "
            + "given.", group: RecipeOptions.group)
    private static let gradientSteps = Option(
        "gradient-steps", optional: .integer(in: 0...10_000),
        help:
            "Through how many Euler steps, from the last, the gradient is taken; with 0 only the evaluation that a head at "
            + "--head-place reads learns. All of them if not given.", group: RecipeOptions.group)
    private static let augmentation = TrainingOptions.augmentation(default: .full)

    static let command = Command(
        name: "finetune", abstract: "train a model to classify by its reversed states",
        discussion: """
            The reverse pass runs from every image along the grid, a head reads the pooled final state or the network's \
            activations there, and the cross-entropy is taken back through every step into network and head. Classes are the names of the folders \
            that the images lie in, or the labels of --labels, in order. The head is kept where the model has these classes, \
            this place and this width, and is new where it has not. The model keeps its name and its default tap. What is \
            kept and what is new is said when training begins.

            Every epoch writes log.csv and progress.svg in the output folder anew and saves state.safetensors, from which \
            --resume goes on bit-identically. SIGINT and SIGTERM save and exit with 0. model.safetensors can be served as \
            it is.
            """,
        options: TrainingOptions.outputs(name: TrainingOptions.keptName.specification) + [
            TapOptions.defaultTap.specification, DataOptions.labels.specification, validationLabels.specification,
            classes.specification, GridOptions.span.specification, GridOptions.cutoff.specification,
            freeze.specification, fromScratch.specification,
            headPlace.specification, hiddenWidth.specification, recipe.epochs.specification,
            TrainingOptions.batchSize.specification, learningRate.specification, finalRate.specification,
            recipe.warmUp.specification, recipe.schedule.specification, recipe.weightDecay.specification,
            smoothing.specification, balance.specification, forwardSteps.specification, gradientSteps.specification,
            recipe.averageDecay.specification, TrainingOptions.clip.specification, TrainingOptions.seed.specification,
            augmentation.specification,
        ] + TrainingOptions.computation,
        positionals: [model.specification],
        examples: [
            Command.Example(
                line: "headwater finetune pretrained/model.safetensors --data train.tar --validation 0.1 --t-span 9 "
                    + "--t-cutoff 5 -o finetuned", effect: "Fine-tune, keeping the best model on a tenth held back:"),
            Command.Example(
                line:
                    "headwater finetune pretrained/model.safetensors --data flowers --freeze flow --epochs 50 -o head",
                effect: "Only a head on your own classes:"),
        ])

    @MainActor
    static func run(_ arguments: ParsedArguments) async throws -> ExitStatus {
        try await Interruption.cancelling { try finetune(arguments) }
    }

    /// Runs in a task that is cancelled to interrupt it.
    @MainActor
    static func finetune(_ arguments: ParsedArguments) throws -> ExitStatus {
        let kernels = try TrainingOptions.kernels(arguments)
        let pool = try KernelChoice.pool(arguments)
        let base = try ModelFile(ModelSource.file(try arguments[model]))
        try base.requireFiniteWeights()
        let data = try TrainingData(
            arguments, ignoringClasses: false, classes: try arguments[self.classes],
            labels: try DataOptions.labels(arguments), validationLabels: try validationLabels(arguments))
        data.report()
        let tuned = try tunedModel(arguments, base: base, classes: data.images.classes)
        let configuration = tuned.configuration
        let preprocessing = try Preprocessing(configuration.preprocessing)
        let isFrozen = try arguments[freeze] == .flow
        try requireSomethingToLearn(arguments, configuration, isFrozen)
        try recipe.requireEffect(arguments, finalRate: finalRate)
        let feed = try data.trainingFeed(
            arguments, preprocessing, try augmentationPolicy(arguments, isFrozen),
            balancesClasses: try arguments[balance] == .classes)
        let files = try TrainingOptions.files(arguments)
        let task = FineTuning(
            tuned: tuned, base: base, data: data, preprocessing: preprocessing, feed: feed,
            smoothing: try arguments[smoothing], forwardSteps: try arguments[forwardSteps],
            gradientSteps: try arguments[gradientSteps], capacity: try arguments[TrainingOptions.capacity],
            seed: try TrainingOptions.seed(arguments), isFromScratch: try arguments[fromScratch], kernels: kernels,
            pool: pool)
        let settings = try settings(arguments, configuration, base: base).merging(data.settings) { $1 }
        let resumes = try arguments[TrainingOptions.resume]
        // Before all features are computed in vain.
        try files.check(settings: settings, resumes: resumes, stepLog: try arguments[TrainingOptions.stepLog])
        for note in tuned.notes { HeadwaterProgram.complain(note) }
        let isRehearsal = try arguments[TrainingOptions.dryRun]
        let (learner, batches, preparation) = try isFrozen ? task.head(isRehearsal: isRehearsal) : task.whole()
        let trainer = Trainer(
            learner,
            recipe: try recipe.parsed(
                arguments, peak: try rate(arguments), floor: try arguments[finalRate],
                batchesPerEpoch: feed.batchesPerEpoch),
            settings: settings, computation: try TrainingOptions.computation(arguments, kernels, pool), pool: pool)
        if isRehearsal {
            return try TrainingRehearsal().run(
                arguments, trainer, data: data, feed: feed, epochs: try arguments[recipe.epochs], files: files,
                preparation: preparation, validates: !isFrozen, batches: batches)
        }
        let model = SelfTestedModel(
            configuration: configuration, type: try arguments[TrainingOptions.type].elementType, kernels: kernels,
            pool: pool)
        let session = try TrainingSession(
            arguments, trainer: trainer, files: files, epochs: try arguments[recipe.epochs], feed: feed,
            damage: data.damageReport,
            keepModel: { trainer in
                try model.write(to: files.model) { key in
                    isFrozen && key.hasPrefix(ModelFile.networkPrefix)
                        ? try base.tensor(key) : trainer.weights(ParameterStore.ownKey(key))
                }
            })
        return try session.run(resumes: resumes, batches: batches)
    }

    /// The model to make.
    private static func tunedModel(
        _ arguments: ParsedArguments, base: ModelFile, classes: [String]
    ) throws -> FineTunedModel {
        guard classes.count > 1 else {
            throw CommandFailure(
                status: .unusableData,
                description:
                    "\(try arguments[TrainingOptions.data]): there is one class only, \(classes[0]), and so nothing to "
                    + "tell apart")
        }
        do {
            return try FineTunedModel(
                of: base.configuration, classes: classes,
                FineTunedModel.Wishes(
                    name: try arguments[TrainingOptions.keptName], defaultTap: try arguments[TapOptions.defaultTap],
                    grid: try GridOptions.grid(arguments, of: base.configuration), headPlace: try arguments[headPlace],
                    headWidth: try arguments[hiddenWidth], isFromScratch: try arguments[fromScratch]))
        } catch let error as TapError {
            throw UsageError(
                error.description, at: arguments.place(of: TapOptions.defaultTap),
                remedy: "'headwater inspect' lists all that the model has on its own grid")
        }
    }

    /// Refuses steps that leave nothing but a head to learn.
    private static func requireSomethingToLearn(
        _ arguments: ParsedArguments, _ configuration: ModelConfiguration, _ isFrozen: Bool
    ) throws {
        for option in [forwardSteps, gradientSteps] {
            guard let steps = try arguments[option] else { continue }
            if isFrozen {
                throw UsageError(
                    "features of a flow that is frozen are those of its whole pass, which no gradient enters",
                    at: arguments.place(of: option), remedy: "leave it out, or leave out --freeze flow")
            }
            if steps == 0, configuration.head?.place == nil {
                throw UsageError(
                    "a head that reads the state learns nothing of the flow without a step",
                    at: arguments.place(of: option),
                    remedy: "give 1 or more, or --freeze flow, or a --head-place")
            }
        }
    }

    private static func augmentationPolicy(_ arguments: ParsedArguments, _ isFrozen: Bool) throws -> AugmentationPolicy
    {
        guard isFrozen else { return try arguments[augmentation] }
        guard try !arguments[fromScratch] else {
            throw UsageError(
                "a network of random weights that are never trained has no features",
                at: arguments.place(of: fromScratch),
                remedy: "leave it out, or leave out --freeze flow")
        }
        guard try arguments.source(of: augmentation) == nil || arguments[augmentation] == .none else {
            throw UsageError(
                "features that are computed once can't be augmented", at: arguments.place(of: augmentation),
                remedy: "leave it out, or leave out --freeze flow")
        }
        return .none
    }

    private static func validationLabels(_ arguments: ParsedArguments) throws -> ImageLabels? {
        guard let labels = try DataOptions.labels(arguments, validationLabels) else { return nil }
        guard case .dataSet = try arguments[TrainingOptions.validation] else {
            throw UsageError(
                "there is no data set to validate on that it could label", at: arguments.place(of: validationLabels),
                remedy: "name one by --validation, or leave it out: images held back of --data have their labels")
        }
        return labels
    }

    private static func rate(_ arguments: ParsedArguments) throws -> Double {
        try arguments[learningRate] ?? 1.25e-4 * Double(try arguments[TrainingOptions.batchSize]) / 512
    }

    /// What the numbers depend on.
    private static func settings(
        _ arguments: ParsedArguments, _ configuration: ModelConfiguration, base: ModelFile
    ) throws -> [String: String] {
        var own = [
            "the command": "finetune", "MODEL": String(try base.sha256.description.prefix(16)),
            "--t-span": "\(configuration.grid.count)",
            "--t-cutoff": configuration.grid.cutoff.map { "\($0)" } ?? "none",
            "--freeze": try arguments[freeze].rawValue, "--from-scratch": "\(try arguments[fromScratch])",
            "--head-width": "\(configuration.head!.hiddenWidth)",
            "--head-place": configuration.head!.place?.description ?? "state",
            "--final-learning-rate": "\(try arguments[finalRate])",
            "--label-smoothing": "\(try arguments[smoothing])", "--augment": try arguments[augmentation].description,
        ]
        if try arguments[balance] != .none { own["--balance"] = try arguments[balance].rawValue }
        own["--classes"] = try arguments[classes].map { $0.sorted().joined(separator: ",") }
        for option in [forwardSteps, gradientSteps] {
            own["--" + option.specification.name] = try arguments[option].map { "\($0)" } ?? "all"
        }
        return try recipe.settings(arguments, peak: try rate(arguments)).merging(own) { $1 }
    }
}

/// What is fine-tuned, and from where.
@MainActor
struct FineTuning {
    typealias Batches = (_ epoch: Int, _ index: Int) -> () throws -> Batch

    let tuned: FineTunedModel
    let base: ModelFile
    let data: TrainingData
    let preprocessing: Preprocessing
    let feed: DataFeed
    let smoothing: Double
    let forwardSteps: Int?
    let gradientSteps: Int?
    let capacity: Int
    let seed: UInt64
    let isFromScratch: Bool
    let kernels: Kernels
    let pool: WorkerPool

    private var configuration: ModelConfiguration { tuned.configuration }

    /// Network and head together.
    func whole() throws -> (any Learner, Batches, TrainingRehearsal.Preparation) {
        let learner = try FineTuningLearner(
            configuration, smoothing: smoothing, forwardSteps: forwardSteps, gradientSteps: gradientSteps,
            capacity: capacity, validation: data.validationFeed(preprocessing), kernels: kernels, pool: pool)
        try fill(learner.store)
        let feed = feed
        return (
            learner,
            { epoch, index in
                let stream = feed.batches(fromEpoch: epoch, index: index)
                return { try stream.next() }
            }, TrainingRehearsal.Preparation()
        )
    }

    /// The head alone.
    ///
    /// - Parameter isRehearsal: computes the features of a few images only.
    /// - Returns: with what the features of all images take.
    func head(isRehearsal: Bool) throws -> (any Learner, Batches, TrainingRehearsal.Preparation) {
        let (base, head) = (base, configuration.head!)
        let layout = try UNetLayout(configuration.architecture)
        let zeros = Dictionary(uniqueKeysWithValues: head.parameters(on: layout).map { ($0.key, $0.count) })
        // The features are read before the head, whose weights therefore don't matter.
        let model = try ReversibleModel(configuration: configuration, kernels: kernels, pool: pool) { key in
            if let count = zeros[ParameterStore.ownKey(key)] { return [Float](repeating: 0, count: count) }
            return try base.tensor(key)
        }
        let (images, held) = (data.split.training, data.split.validation)
        let sample = isRehearsal ? images.prefix(TrainingRehearsal.features) : images
        let start = ContinuousClock().now
        let training = try features(of: sample, model, "computing features")
        let seconds = start.duration(to: ContinuousClock().now) / .seconds(1) / Double(sample.count)
        let validation =
            isRehearsal ? nil : try held.map { try features(of: $0, model, "computing validation features") }
        let learner = HeadLearner(
            head, layout: layout, smoothing: smoothing, capacity: max(capacity, 128), validation: validation,
            kernels: kernels, pool: pool)
        try fill(learner.store)
        let feed = isRehearsal ? data.wholeFeed(sample, preprocessing) : feed
        return (
            learner, { epoch, index in training.batches(fromEpoch: epoch, index: index, ordered: feed) },
            TrainingRehearsal.Preparation(
                seconds: seconds * Double(images.count + (held?.count ?? 0)),
                bytes: 4 * training.width * (images.count - sample.count + (held?.count ?? 0)))
        )
    }

    private func features(
        of subset: LabelledSubset, _ model: ReversibleModel, _ activity: String
    ) throws -> HeadFeatures {
        let bar = ProgressBar(activity, of: subset.count)
        defer { bar.erase() }
        return try HeadFeatures(
            data.wholeFeed(subset, preprocessing), model: model, kernels: kernels, pool: pool
        ) { done in
            try Task.checkCancellation()
            data.damageReport.tellNew { bar.complain($0) }
            bar.update(done)
        }
    }

    private func fill(_ store: ParameterStore) throws {
        let (isFromScratch, keepsHead) = (isFromScratch, tuned.keepsHead)
        func isKept(_ key: String) -> Bool { key.hasPrefix("classifier.") ? keepsHead : !isFromScratch }
        WeightInitialization.initialize(store, seed: seed) { !isKept($0) }
        try store.load(base, where: isKept)
    }
}
