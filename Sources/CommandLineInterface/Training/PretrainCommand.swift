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
    private static let architecture = Option(
        "architecture", required: .file,
        help: "A JSON file of the network's architecture: modelChannels, residualBlocks, channelMultipliers, "
            + "attentionDownsampling, heads, imageSize.")
    private static let coupling = Option(
        "coupling", required: .choice("COUPLING", of: ProbabilityPath.self),
        help: "How noise and images are paired, and the path between them.")
    private static let imageSize = Option(
        "image-size", optional: .integer(in: 16...128),
        help: "The height and width of images, instead of the architecture's.")
    private static let recipe = RecipeOptions(
        epochs: 100, warmUp: 0, schedule: .constant, weightDecay: 0, averageDecay: 0.9999,
        augmentation: AugmentationPolicy(flips: true))
    private static let learningRate = Option(
        "learning-rate", .number("RATE", in: 1e-9...10), default: 1e-4, help: "The learning rate after the warm-up.")
    private static let span = Option(
        "t-span", .integer(in: 2...10_000), default: 32,
        help: "The number of points of the time grid on which the model is served. Training doesn't depend on it.")
    private static let cutoff = Option(
        "t-cutoff", optional: .integer(in: 0...10_000), help: "The point at which that grid is cut.")

    static let command = Command(
        name: "pretrain", abstract: "train a velocity network on images without labels",
        discussion: """
            Flow matching: the network learns the velocity of a path between noise and images. icfm pairs them at random. \
            otcfm draws pairs from the optimal-transport plan of each batch. gvp is a variance-preserving diffusion path. \
            Class folders are not needed and are ignored.

            Every epoch rewrites log.csv and progress.svg in the output folder and saves state.safetensors, from which \
            --resume continues bit for bit. SIGINT and SIGTERM save the state and exit with 0. model.safetensors can be \
            served (embeddings only) and fine-tuned.
            """,
        options: [[architecture, coupling, imageSize]] + TrainingOptions.outputs(name: TrainingOptions.name) + [
            [span, cutoff],
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
        examples: [
            "Pretrain on a tar archive:":
                "headwater pretrain --data train.tar --architecture small.json --coupling icfm -o pretrained",
            "Resume an interrupted run:": "headwater pretrain --resume -o pretrained",
        ],
        recall: TrainingOptions.recall)

    static let isInterruptible = true

    @MainActor
    static func run(_ arguments: ParsedArguments) throws -> ExitStatus {
        let configuration = try configuration(arguments)
        let computation = try Computation(arguments, in: .f32)
        let data = try TrainingData(arguments, ignoringClasses: true)
        let preprocessing = try Preprocessing(configuration.preprocessing)
        let settings = TrainingSettings(
            recipe: try recipe.settings(arguments, peak: try arguments[learningRate]),
            pretraining: TrainingSettings.Pretraining(
                architecture: configuration.architecture, coupling: try arguments[coupling]),
            images: data.settings)
        return try TrainingOptions.train(
            arguments, of: command, settings, epochs: try arguments[recipe.epochs],
            feed: try data.trainingFeed(arguments, preprocessing, recipe), data: data, configuration, on: computation
        ) {
            PretrainingLearner(
                try configuration.network(), coupling: try arguments[coupling],
                seed: UInt64(try arguments[TrainingOptions.seed]), capacity: try arguments[TrainingOptions.capacity],
                validation: data.validationFeed(preprocessing), kernels: computation.kernels, pool: computation.pool)
        }
    }

    private static func configuration(_ arguments: ParsedArguments) throws -> ModelConfiguration {
        let path = try arguments[architecture]
        var architecture = try readArchitecture(path)
        if let size = try arguments[imageSize] { architecture.imageSize = size }
        let configuration = ModelConfiguration(
            name: try TrainingOptions.modelName(arguments), architecture: architecture, head: nil,
            path: try arguments[coupling],
            grid: TimeGridConfiguration(count: try arguments[span], cutoff: try arguments[cutoff]),
            preprocessing: .reference(imageSize: architecture.imageSize))
        try CheckpointError.locating(in: path) { try configuration.validate() }
        return configuration
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
