import Arguments
import Augmentation
import CheckpointFormats
import Console
import FeatureService
import FlowModel
import Glibc
import ImagePipeline
import Tensor
import Training
import UntrustedText

/// Options that pretraining and fine-tuning share.
enum TrainingOptions {
    static let data = Option(
        "data", required: .file, help: "A folder, or a tar or zip archive, of images.")
    static let output = Option(
        "output", short: "o", required: .folder,
        help: "The folder for state.safetensors, model.safetensors, log.csv and progress.svg. It is created if "
            + "necessary.")
    static let resume = Option(
        flag: "resume",
        help: "Continue from state.safetensors in the output folder. Options that are not given keep their values in "
            + "that run.")
    static let restartSchedule = Option(
        flag: "restart-schedule",
        help: "With --resume, start the learning-rate schedule again at the current step, for the steps left of "
            + "--epochs. --epochs, --schedule, --warm-up and learning rates may then change. Give it once: a later "
            + "--resume continues the new schedule.")
    static let checkpointMinutes = Option(
        "checkpoint-minutes", .number("MINUTES", in: 0.01...1440), default: 10,
        help: "The longest time between two saves of the state. It is also saved at the end "
            + "of each epoch that takes 10 seconds or more, and of shorter ones every 10 seconds.")
    static let validation = Option(
        "validation", optional: ValueSyntax<ValidationSource>.validation,
        help: "The images that score each epoch, so that the best model is kept: a fraction to hold back, such as 0.1, "
            + "or a folder or archive. 'headwater finetune' holds back that fraction of every class. Without it, the "
            + "last model is kept.")
    static let splitSeed = Option(
        "split-seed", .integer(in: 0 ... .max), default: 1,
        help: "The seed that chooses the images that a fraction holds back, and those that 'headwater finetune "
            + "--labels-per-class' takes. It is separate from --seed: a run that starts from another run's model then "
            + "holds back the same images and isn't validated on images that the other run trained on.")
    static let stepLog = Option(
        "step-log", optional: .file,
        help:
            "Write a line of JSON for every step: step, epoch, loss, the flow's loss with --flow-weight, learning rate, "
            + "norm of the gradient, images and images a second. With --resume the file keeps the lines of the steps "
            + "before; otherwise it must not exist.")
    static let dryRun = Option(
        flag: "dry-run",
        help: "Write nothing, and print what would be done: images, classes and steps, and the time and memory that "
            + "they take, measured in a few steps on real images.")
    /// The name of a model that is made from another one.
    static let keptName = Option(
        "name", optional: .string("NAME"),
        help: "The model's name. The default is the name of the model that training begins with.")
    static let type = Option(
        "dtype", .choice("TYPE", of: ImportCommand.StoredType.self), default: .f32,
        help: "The type in which the model's weights are stored.")

    static let batchSize = Option(
        "batch-size", .integer(in: 1...65_536), default: 128, help: "The number of images in a step.")
    static let seed = Option(
        "seed", .integer(in: 0 ... .max), default: 1,
        help: "The seed of weights, order, augmentation, times and noise. Two runs with the same options, seed, "
            + "kernels and number of workers give the same bits.")
    static let clip = Option(
        "clip", optional: .number("NORM", in: 1e-6...1e9), help: "Scale larger gradients down to this norm.")

    static func classes(help: String) -> Option<[String]?> {
        Option("classes", optional: .list(of: .string("CLASS")), help: help)
    }

    static let capacity = Option(
        "images-at-a-time", .integer(in: 1...1024), default: 16,
        help: "The number of images whose activations are in memory at the same time. Gradients are summed over the "
            + "step.")

    static let batchParts = Option(
        "batch-parts", optional: .integer(in: 1...1024),
        help: "Divide each batch into this number of parts and add up their gradients in order. The bits of a run then "
            + "depend on the number of parts, but not on --workers or the number of processes that mpirun starts. The "
            + "default is that number of processes. A single process without this option doesn't divide batches.")

    /// How the batches of a run are divided, and among which processes; nil if they aren't.
    ///
    /// A process that is not the first of several prints nothing but errors from then on.
    static func division(_ arguments: ParsedArguments) throws -> BatchDivision? {
        let ranks = try Ranks.join(ProcessText.environment)
        if let ranks {
            if !ranks.isFirst { Terminal.silence() }
            let remedy = "start one process, without mpirun"
            try arguments.require(
                !arguments[dryRun], of: dryRun, "it measures a single process, and mpirun started \(ranks.count)",
                remedy: remedy)
            let parts = try arguments[batchParts] ?? ranks.count
            try arguments.require(
                parts.isMultiple(of: ranks.count), of: batchParts,
                "\(parts) parts can't be divided equally among \(ranks.count) processes",
                remedy: "give a multiple of \(ranks.count)")
        }
        return try (arguments[batchParts] ?? ranks?.count).map { BatchDivision(parts: $0, ranks: ranks) }
    }

    /// What the run was given that is to be resumed.
    static let recall = Recall { written in
        let isResumed = written(resume.specification.name).flatMap { ValueSyntax<Bool>.boolean.parse($0) } ?? false
        guard isResumed, let folder = written(output.specification.name) else { return nil }
        let path = TrainingRun.Files(folder: folder).state
        guard let record = try? TrainingState.Reader(path: path, access: .onDemand).record else {
            return .nothing("\(path), where --resume looks for it, doesn't exist or is not the state of a run")
        }
        return record.options.map { .values($0, file: path) }
            ?? .nothing("\(path), where --resume looks for it, was written by a version that didn't record options")
    }

    /// The options that a run is to remember: as they were given, paths from the root.
    static func remembered(_ arguments: ParsedArguments, of command: Command) -> [String: String] {
        let own = [output.specification, resume.specification, restartSchedule.specification, dryRun.specification].map(
            \.name)
        let isPath = Dictionary(
            uniqueKeysWithValues: command.options.map { ($0.name, $0.completion == .file) }
                + command.positionals.map { ($0.name, $0.completion == .file) })
        let folder = getcwd(nil, 0).map { bytes in
            defer { free(bytes) }
            return String(cString: bytes)
        }
        let texts = arguments.given.filter { !own.contains($0.key) }
        return Dictionary(
            uniqueKeysWithValues: texts.map { name, text in
                // A fraction to hold back stands where a path may.
                guard let folder, isPath[name] == true, Double(text) == nil, !text.hasPrefix("/") else {
                    return (name, text)
                }
                return (name, folder + "/" + text)
            })
    }

    /// Refuses to begin a schedule again in a run that has not begun.
    static func restartsSchedule(_ arguments: ParsedArguments) throws -> Bool {
        guard try arguments[restartSchedule] else { return false }
        try arguments.require(
            arguments[resume], of: restartSchedule, "a new run has no schedule to start again",
            remedy: "leave it out, or give --resume")
        return true
    }

    /// Where data come from and results go.
    ///
    /// - Parameter name: the option of the model's name.
    static func outputs(name: any CommandOption) -> [OptionGroup] {
        [
            [data, output, resume, checkpointMinutes, validation, splitSeed, name, type, stepLog, dryRun],
            DataOptions.options,
        ]
    }

    static let computation = OptionGroup(
        "Computation", [capacity, batchParts, Computation.kernelsOption, Computation.workersOption])

    static func checkpointInterval(_ arguments: ParsedArguments) throws -> Duration {
        .seconds(60 * (try arguments[checkpointMinutes]))
    }

    /// Carries out a run whose learner takes steps, or rehearses it.
    ///
    /// - Parameters:
    ///   - model: what the best weights make.
    ///   - samples: the sheet that is drawn of each epoch's weights; nil for none.
    ///   - division: how each batch is divided; nil if it isn't.
    ///   - learner: called once it is certain that the run can begin.
    @MainActor
    static func train(
        _ arguments: ParsedArguments, of command: Command, _ settings: TrainingSettings, epochs: Int, feed: DataFeed,
        data: TrainingData, _ model: ModelConfiguration, samples: SampleSheet? = nil, division: BatchDivision?,
        on computation: Computation, learner: () throws -> any Learner
    ) throws -> ExitStatus {
        let (resumes, restarts) = (try arguments[resume], try restartsSchedule(arguments))
        let (files, stepLog) = (try files(arguments), try arguments[stepLog])
        try files.check(settings: settings, resumes: resumes, restartsSchedule: restarts, stepLog: stepLog)
        let (kernels, pool) = (computation.kernels, computation.pool)
        let sums = division.map { "gradients of \($0.parts) parts" } ?? "\(pool.count) workers"
        let trainer = Trainer(
            try learner(), settings: settings, batchesPerEpoch: feed.batchesPerEpoch,
            computation: "\(kernels.name) kernels, \(sums), \(try arguments[capacity]) images at a time",
            options: remembered(arguments, of: command), division: division, pool: pool)
        if try arguments[dryRun] {
            return try TrainingRehearsal.run(
                trainer, data: data, feed: feed, epochs: epochs, files: files, resumes: resumes, samples: samples)
        }
        let model = try selfTested(model, arguments, on: computation)
        return try TrainingSession.run(
            trainer, files: files, epochs: epochs, feed: feed, checkpointInterval: try checkpointInterval(arguments),
            stepLog: stepLog, resumes: resumes, restartsSchedule: restarts, damage: data.damageReport,
            samples: samples, ranks: division?.ranks
        ) { trainer in
            try model.write(to: files.model) { trainer.weights(ModelFile.parameter(ofKey: $0)) }
        }
    }

    /// The model that a run writes.
    static func selfTested(
        _ configuration: ModelConfiguration, _ arguments: ParsedArguments, on computation: Computation
    ) throws -> SelfTestedModel {
        SelfTestedModel(
            configuration: configuration, type: try arguments[type].elementType, kernels: computation.kernels,
            pool: computation.pool)
    }

    /// The output folder's name, as a model's.
    static func folderName(_ arguments: ParsedArguments) throws -> String {
        try arguments[output].split(separator: "/").last { $0 != "." && $0 != ".." }.map { printable($0) }
            ?? "model"
    }

    /// Makes the output folder, unless nothing is to be written.
    ///
    /// - Throws: `CommandFailure` with status `unwritableOutput`.
    static func files(_ arguments: ParsedArguments) throws -> TrainingRun.Files {
        let folder = try arguments[output]
        if try !arguments[dryRun] { try OutputFolder.make(folder) }
        return TrainingRun.Files(folder: folder)
    }
}

extension ValueSyntax where Value == ValidationSource {
    static var validation: ValueSyntax {
        ValueSyntax(
            placeholder: "FRACTION|PATH",
            rule: "a fraction above 0 and below 1, such as 0.1, or the path of a folder or archive",
            completion: .file,
            parse: { $0.isEmpty || $0.utf8.contains(0) ? nil : ValidationSource($0) },
            format: { $0.text })
    }
}

extension ValidationSource {
    var text: String {
        switch self {
        case .none: "none"
        case .fraction(let fraction): "\(fraction)"
        case .dataSet(let path): path
        }
    }
}

extension TrainingData {
    /// Opens what `--data` and `--validation` name, and says what is passed over.
    ///
    /// - Parameters:
    ///   - classes: those to be learned; all if nil.
    ///   - labels: the classes of the images of `--data`, if not by their folders.
    ///   - validationLabels: those of the images of `--validation`.
    ///   - labelsPerClass: how many images of every class to train on; all if nil.
    ///   - flowData: a data set without classes, for the loss of the flow; that of `--data` if nil.
    @MainActor
    init(
        _ arguments: ParsedArguments, ignoringClasses: Bool, classes: [String]? = nil, labels: ImageLabels? = nil,
        validationLabels: ImageLabels? = nil, labelsPerClass: Int? = nil, flowData: String? = nil
    ) throws {
        let links = try DataOptions.links(arguments)
        let all = try LabelledImages(
            at: try arguments[TrainingOptions.data], ignoringClasses: ignoringClasses, labels: labels, following: links,
            formats: try DataOptions.formats(arguments))
        let flowImages = try flowData.map {
            try LabelledImages(
                at: $0, ignoringClasses: true, following: links, formats: try DataOptions.formats(arguments))
        }
        let source = try arguments[TrainingOptions.validation] ?? .none
        if case .fraction = source {
        } else if labelsPerClass == nil {
            try arguments.refuse(
                [TrainingOptions.splitSeed], "it chooses the images to hold back, and none are",
                remedy: "leave it out, or give --validation a fraction such as 0.1")
        }
        try self.init(
            try classes.map { try all.restricted(to: $0) } ?? all, validation: source, labels: labels,
            validationLabels: validationLabels, following: links, seed: try arguments[TrainingOptions.seed],
            splitSeed: try arguments[TrainingOptions.splitSeed], labelsPerClass: labelsPerClass, flowImages: flowImages,
            damage: try DataOptions.damagePolicy(arguments))
        DataOptions.report(images)
        if let flowImages { DataOptions.report(flowImages) }
        if let validation = split.validation?.images, validation.path != images.path { DataOptions.report(validation) }
    }

    func trainingFeed(
        _ arguments: ParsedArguments, _ preprocessing: Preprocessing, _ recipe: RecipeOptions,
        balancesClasses: Bool = false, learnsFlow: Bool = false
    ) throws -> DataFeed {
        trainingFeed(
            batchSize: try arguments[TrainingOptions.batchSize], seed: UInt64(try arguments[TrainingOptions.seed]),
            preprocessing, try arguments[recipe.augmentation], balancesClasses: balancesClasses,
            learnsFlow: learnsFlow)
    }
}
