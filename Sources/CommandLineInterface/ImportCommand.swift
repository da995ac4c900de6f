import Arguments
import CheckpointFormats
import Console
import FeatureService
import Files
import FlowModel
import Machine
import ModelImport
import ReverseODE
import Tensor
import UntrustedText

/// `headwater import`: a published model into the serving format.
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

    private static let type = Option(
        "dtype", .choice("TYPE", of: StoredType.self), default: .f32, help: "The type in which weights are stored.")
    private static let source = Positional(
        "SOURCE", .file, help: "A file written by torch.save, a safetensors file, or a folder of diffusers.")

    static let command = Command(
        name: "import", abstract: "convert a published model or a PyTorch checkpoint into a model file",
        discussion: """
            Recognises which package wrote the source by the names of its tensors, and executes nothing in it: PRG's reference \
            implementation, \(ImportOptions.dialects). \
            Width, depth, multipliers and attention follow from the tensors. Options state what no file contains; --as \
            states all of it for a published model. The new file also records the model's answer to a fixed input, which \
            'headwater serve' compares before it serves the model.
            """,
        options: [
            [
                ImportOptions.output, ImportOptions.published, ImportOptions.solver, ImportOptions.labels,
                ImportOptions.name, type,
            ],
            ImportOptions.network, ImportOptions.flow, ImportOptions.reference,
        ],
        positionals: [source],
        examples: [
            "Import a model of PRG for CIFAR-10 with the published grid:":
                "headwater import GenerativeClassify_3.pt --image-size 32 --path icfm --t-span 32 -o "
                + "cifar10.safetensors",
            "Import a published model by its name:":
                "headwater import 64x64_diffusion.pt --as guided-diffusion-64 --class null -o adm64.safetensors",
        ])

    static func run(_ arguments: ParsedArguments) throws -> ExitStatus {
        let (path, target) = (try arguments[source], try arguments[ImportOptions.output])
        let settings = try ImportOptions.settings(
            arguments, name: try arguments[ImportOptions.name] ?? defaultName(target),
            labels: try arguments[ImportOptions.labels].map(readLabels))
        var checkpoint = try CheckpointImport(path: path, settings: settings)
        try moveHead(of: &checkpoint, arguments)
        print("\(printable(path)): a model of \(checkpoint.dialect)")
        for assumption in checkpoint.assumptions { print("assumed: \(assumption)") }
        let stored = try arguments[type].elementType
        try checkpoint.write(to: target, storing: stored, selfTest: try selfTest(checkpoint, storing: stored))
        let parameters = checkpoint.parameters.reduce(0) { $0 + $1.count }
        print("\(target): \(checkpoint.configuration.name), \(parameters) parameters")
        return .success
    }

    private static func moveHead(of checkpoint: inout CheckpointImport, _ arguments: ParsedArguments) throws {
        guard let time = try arguments[GridOptions.headTime] else { return }
        var configuration = checkpoint.configuration
        try GridOptions.locatingHeadTime(arguments) {
            try configuration.setGrid(configuration.grid, headAt: time)
        }
        try checkpoint.read(at: configuration.head?.point, defaultTap: configuration.defaultTap)
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
