import Arguments
import CheckpointFormats
import Console
import FeatureService
import Files
import FlowModel
import Machine
import ReverseODE
import Tensor
import UntrustedText

/// `headwater import`: a PyTorch checkpoint into the serving format.
enum ImportCommand: Subcommand {
    enum StoredType: String, CaseIterable, Sendable {
        case f32, f16, bf16
        var elementType: ElementType {
            switch self {
            case .f32: .f32
            case .f16: .f16
            case .bf16: .bf16
            }
        }
    }

    private static let checkpoint = Positional("CHECKPOINT", .file, help: "A file written by torch.save.")
    private static let output = Option("output", short: "o", required: .file, help: "The model file to write.")
    private static let imageSize = Option(
        "image-size", required: .integer(in: 1...4096),
        help: "The height and width of the images that the model was trained on.")
    private static let path = Option(
        "path", required: .choice("PATH", of: ProbabilityPath.self),
        help: "The probability path that the model was trained on.")
    private static let span = Option(
        "t-span", required: .integer(in: 2...10_000),
        help: "The number of points of the time grid: the reference's t_span.")
    private static let cutoff = Option(
        "t-cutoff", optional: .integer(in: 0...10_000),
        help: "The point at which the grid is cut: the reference's t_cutoff.")
    private static let heads = Option(
        "heads", .integer(in: 1...256), default: 4, help: "The number of heads of the attention blocks.")
    private static let solver = Option(
        "solver", .choice("SOLVER", of: Solver.self), default: .euler,
        help: "The solver of the reverse ODE. The reference uses euler.")
    private static let labels = Option("labels", optional: .file, help: "A text file with one class name a line.")
    private static let name = Option(
        "name", optional: .string("NAME"), help: "The model's name. The default is the output file's name.")
    private static let type = Option(
        "dtype", .choice("TYPE", of: StoredType.self), default: .f32, help: "The type in which weights are stored.")

    static let command = Command(
        name: "import", abstract: "convert a PyTorch checkpoint into a model file",
        discussion: """
            Reads a checkpoint of the PRG reference implementation and executes nothing in it. Width, depth, attention \
            places, head and classes follow from the tensors; the options state what the file doesn't contain. The new file \
            also records the model's answer to a fixed input, which 'headwater serve' compares before it serves the model.
            """,
        options: [[output, imageSize, path, span, cutoff, heads, solver, labels, name, type]],
        positionals: [checkpoint],
        examples: [
            "Import a CIFAR-10 model with the published grid:":
                "headwater import GenerativeClassify_3.pt --image-size 32 --path icfm --t-span 32 -o "
                + "cifar10.safetensors"
        ])

    static func run(_ arguments: ParsedArguments) throws -> ExitStatus {
        let target = try arguments[output]
        var settings = CheckpointImport.Settings(
            name: try arguments[name] ?? defaultName(target), imageSize: try arguments[imageSize],
            path: try arguments[path],
            grid: TimeGridConfiguration(count: try arguments[span], cutoff: try arguments[cutoff]))
        settings.heads = try arguments[heads]
        settings.solver = try arguments[solver]
        settings.labels = try arguments[labels].map(readLabels)
        let checkpoint = try CheckpointImport(PyTorchArchive(path: try arguments[Self.checkpoint]), settings: settings)
        let stored = try arguments[type].elementType
        try checkpoint.write(to: target, storing: stored, selfTest: try selfTest(checkpoint, storing: stored))
        let parameters = checkpoint.parameters.reduce(0) { $0 + $1.count }
        print("\(target): \(checkpoint.configuration.name), \(parameters) parameters")
        return .success
    }

    /// What the model answers with its weights as they will be stored.
    private static func selfTest(_ checkpoint: CheckpointImport, storing type: ElementType) throws -> SelfTestRecord {
        let pool = WorkerPool(count: ProcessorBudget.available())
        let model = try ReversibleModel(configuration: checkpoint.configuration, pool: pool) {
            try checkpoint.weights($0, storedAs: type)
        }
        return try CheckpointSelfTest(kernels: .best, pool: pool).record(model)
    }

    private static func defaultName(_ path: String) -> String {
        // A name is text, whatever bytes the file's has.
        let file = printable(path.split(separator: "/").last.map(String.init) ?? path)
        return file.hasSuffix(".safetensors") ? String(file.dropLast(12)) : file
    }

    private static func readLabels(_ path: String) throws -> [String] {
        guard let bytes = try? FileDescriptor.contents(of: path, limit: 1 << 30) else {
            throw CommandFailure(.unreadableInput, "\(path): the file of labels can't be read")
        }
        return try classNames(bytes, in: path)
    }

    /// The most bytes that a file of class names may have.
    static let largestLabels = 8 << 20

    /// The class names of a text, one a line.
    ///
    /// - Throws: `CommandFailure` if it is none, or has a name with more combining characters in a row than Swift can compare in
    ///   time.
    static func classNames(_ bytes: [UInt8], in path: String) throws -> [String] {
        func failure(_ problem: String) -> CommandFailure {
            CommandFailure(.unusableData, "\(path): \(problem)")
        }
        guard bytes.count <= largestLabels else {
            throw failure(
                "the file of labels has \(bytes.count) bytes, more than the \(largestLabels) allowed; it needs one class "
                    + "name a line")
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw failure("the file of labels is not UTF-8 text; save it as such, one class name a line")
        }
        let names = InputFile.lines(of: text)
        if let index = names.firstIndex(where: { !$0.isStreamSafe }) {
            throw failure(
                "line \(index + 1) of the file of labels has over 30 combining characters in a row; shorten the name")
        }
        return names
    }
}
