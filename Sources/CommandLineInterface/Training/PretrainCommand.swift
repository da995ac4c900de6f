import Arguments
import Augmentation
import CheckpointFormats
import Console
import Differentiation
import FeatureService
import Files
import FlowModel
import ImagePipeline
import Tensor
import Training

/// `headwater pretrain`: a velocity network from images without labels.
enum PretrainCommand: Subcommand {
    private static let model = Positional(
        "MODEL", optional: .file,
        help:
            "A model file to start from: training and the average of the weights both begin with its weights. The "
            + "default is random weights.")
    private static let architecture = Option(
        "architecture", optional: .file,
        help: "A JSON file of the network's architecture: modelChannels, residualBlocks, channelMultipliers, "
            + "attentionDownsampling, heads, imageSize. The default is MODEL's; without MODEL, it must be given.")
    private static let coupling = Option(
        "coupling", optional: .choice("COUPLING", of: ProbabilityPath.self),
        help:
            "How noise and images are paired, and the path between them. The default is MODEL's; without MODEL, it must "
            + "be given.")
    private static let imageSize = Option(
        "image-size", optional: .integer(in: 16...256),
        help: "The height and width of images, from 16 to 256, instead of the architecture's.")
    private static let name = Option(
        "name", optional: .string("NAME"),
        help:
            "The model's name: letters, digits, '.', '_' and '-'. The default is MODEL's; without MODEL, the output folder's "
            + "name.")
    private static let recipe = RecipeOptions(
        epochs: 100, warmUp: 0, schedule: .constant, weightDecay: 0, averageDecay: 0.9999,
        augmentation: AugmentationPolicy(flips: true))
    private static let learningRate = Option(
        "learning-rate", .number("RATE", in: 1e-9...10), default: 1e-4, help: "The learning rate after the warm-up.")
    private static let defaultSpan = 32
    private static let span = Option(
        "t-span", optional: .integer(in: 2...10_000),
        help: "The number of points of the time grid on which the model is served. Training doesn't depend on it. The "
            + "default is MODEL's; without MODEL, \(defaultSpan).")
    private static let cutoff = Option(
        "t-cutoff", optional: .integer(in: 0...10_000), help: GridOptions.cutoffHelp)

    private static let samples = Option(
        "samples", .integer(in: 0...1024), default: 16,
        help: "The number of images that the averaged weights make of noise at the end of each epoch, as a sheet "
            + "samples/epoch-0001.png, … in the output folder. The noise is always the same. 0 writes no sheets.")

    static let command = Command(
        name: "pretrain", abstract: "train a velocity network on images without labels",
        discussion: """
            Flow matching: the network learns the velocity of a path between noise and images. icfm pairs them at random. \
            otcfm draws pairs from the optimal-transport plan of each batch. gvp is a variance-preserving diffusion path. \
            Class folders are not needed and are ignored.

            Every epoch rewrites log.csv and progress.svg in the output folder and saves state.safetensors, from which \
            --resume continues bit for bit. If epochs take less than 10 seconds, these files are written about every 10 \
            seconds. A sheet of images made from noise shows what the flow has learnt after each epoch. \
            SIGINT and SIGTERM save the state and exit with 0. model.safetensors can be served (without classes) and \
            fine-tuned.

            With MODEL, training begins with its weights, network, flow and grid. Any flow that a model file can hold is \
            accepted. The new model has no head. The average of the weights decays by --ema-decay from the first step, so give \
            a short run a smaller value. The command says what is kept when training begins.
            """,
        options: [[architecture, coupling, imageSize]] + TrainingOptions.outputs(name: name) + [
            [span, cutoff, samples],
            OptionGroup(
                "Recipe",
                [
                    recipe.epochs, TrainingOptions.batchSize, learningRate, recipe.warmUp, recipe.schedule,
                    recipe.weightDecay, recipe.averageDecay, recipe.augmentation, TrainingOptions.clip,
                    TrainingOptions.seed,
                    TrainingOptions.restartSchedule,
                ]),
            TrainingOptions.computation,
        ],
        positionals: [model],
        examples: [
            "Pretrain on a tar archive:":
                "headwater pretrain --data train.tar --architecture small.json --coupling icfm -o pretrained",
            "Resume an interrupted run:": "headwater pretrain --resume -o pretrained",
            "Go on from a model whose state is lost:":
                "headwater pretrain pretrained/model.safetensors --data train.tar -o further",
        ],
        recall: TrainingOptions.recall)

    static let isInterruptible = true

    /// What training begins with.
    private struct Beginning {
        let configuration: ModelConfiguration
        /// The model whose weights it begins with; nil for random ones.
        var base: ModelFile?
        var notes: [String] = []
    }

    @MainActor
    static func run(_ arguments: ParsedArguments) throws -> ExitStatus {
        let division = try TrainingOptions.division(arguments)
        let beginning = try beginning(arguments)
        let (configuration, base) = (beginning.configuration, beginning.base)
        let computation = try Computation(arguments, in: .f32)
        let data = try TrainingData(arguments, ignoringClasses: true)
        let preprocessing = try Preprocessing(configuration.preprocessing)
        let settings = TrainingSettings(
            recipe: try recipe.settings(arguments, peak: try arguments[learningRate]),
            pretraining: TrainingSettings.Pretraining(
                architecture: configuration.architecture, coupling: configuration.flow.path,
                model: try base?.shortDigest),
            images: data.settings)
        let drawn = try arguments[samples]
        let sheet =
            drawn > 0
            ? try SampleSheet(
                of: configuration, count: drawn, seed: UInt64(try arguments[TrainingOptions.seed]), on: computation)
            : nil
        return try TrainingOptions.train(
            arguments, of: command, settings, epochs: try arguments[recipe.epochs],
            feed: try data.trainingFeed(arguments, preprocessing, recipe), data: data, configuration, samples: sheet,
            division: division, on: computation
        ) {
            for note in beginning.notes { Terminal.report(note) }
            let learner = PretrainingLearner(
                try configuration.network(), flow: configuration.flow,
                seed: UInt64(try arguments[TrainingOptions.seed]), capacity: try arguments[TrainingOptions.capacity],
                sums: division == nil ? .fastest : .independentOfWorkers,
                validation: data.validationFeed(preprocessing), kernels: computation.kernels, pool: computation.pool)
            try base.map { try learner.store.load($0) }
            return learner
        }
    }

    private static func beginning(_ arguments: ParsedArguments) throws -> Beginning {
        guard let path = try arguments[model] else {
            return Beginning(configuration: try newConfiguration(arguments))
        }
        let base = try ModelFile(ModelSource.file(path))
        try base.requireFiniteWeights()
        try requireAgreement(arguments, with: base.configuration)
        let model = try PretrainedModel(
            of: base.configuration, name: try arguments[name],
            grid: GridOptions.grid(count: try arguments[span], cutoff: try arguments[cutoff], of: base.configuration))
        return Beginning(configuration: model.configuration, base: base, notes: model.notes)
    }

    /// Refuses options that contradict the model that training begins with.
    private static func requireAgreement(_ arguments: ParsedArguments, with base: ModelConfiguration) throws {
        let remedy = "leave it out, or leave out MODEL to begin with random weights"
        if let path = try arguments[architecture] {
            let stated = try architecture(at: path, imageSize: arguments[imageSize])
            try arguments.require(
                stated == base.architecture, of: architecture,
                "this network is not MODEL's, which is: \(base.architecture)", remedy: remedy)
        }
        try arguments.require(
            arguments[imageSize] ?? base.imageSize == base.imageSize, of: imageSize,
            "MODEL's images have \(base.imageSize) pixels a side", remedy: remedy)
        let flow = base.flow.path?.rawValue ?? base.flow.parametrised?.description ?? ""
        try arguments.require(
            arguments[coupling].map { $0 == base.flow.path } ?? true, of: coupling, "MODEL's flow is \(flow)",
            remedy: remedy)
    }

    private static func newConfiguration(_ arguments: ParsedArguments) throws -> ModelConfiguration {
        func required<Value>(_ option: Option<Value?>) throws -> Value {
            if let value = try arguments[option] { return value }
            throw UsageError(
                "is missing", at: arguments.place(of: option),
                remedy: "give \(option.specification.rule), or a MODEL to begin with")
        }
        let (path, coupling) = (try required(architecture), try required(coupling))
        let architecture = try architecture(at: path, imageSize: arguments[imageSize])
        let configuration = ModelConfiguration(
            name: try arguments[name] ?? TrainingOptions.folderName(arguments), architecture: architecture, head: nil,
            path: coupling,
            grid: TimeGridConfiguration(count: try arguments[span] ?? defaultSpan, cutoff: try arguments[cutoff]),
            preprocessing: .reference(imageSize: architecture.imageSize))
        try configuration.validate()
        return configuration
    }

    private static func architecture(at path: String, imageSize: Int?) throws -> UNetArchitecture {
        var architecture = try readArchitecture(path)
        if let imageSize { architecture.imageSize = imageSize }
        return architecture
    }

    /// Reads the shape of a network, a JSON document with the keys that a model's configuration has under `architecture`.
    private static func readArchitecture(_ path: String) throws -> UNetArchitecture {
        let largest = 1 << 16
        guard let bytes = try? FileDescriptor.contents(of: path, limit: largest) else {
            throw CommandFailure(.unreadableInput, "\(path): the architecture can't be read")
        }
        guard bytes.count <= largest, let document = String(validating: bytes, as: UTF8.self) else {
            throw CommandFailure(.unusableData, "\(path): not a JSON document of up to 64 KiB")
        }
        do {
            return try UNetArchitecture(json: document)
        } catch {
            throw CommandFailure(.unusableData, "\(path): \(error)")
        }
    }
}
