import Arguments
import CheckpointFormats
import Console
import FlowModel
import ReverseODE
import Tensor

/// `headwater inspect`: what is known of a model file.
enum InspectCommand: Subcommand {
    private static let model = Positional(
        "MODEL", optional: .file, help: "The model file. The default is the bundled model.")
    private static let json = Option(flag: "json", default: false, help: "Print JSON in the form of GET /model.")
    private static let plan = Option(
        flag: "plan", default: false,
        help:
            "Print how each layer is computed on this machine: its algorithm, its packed weights, how each batch size "
            + "is divided among the workers, and the memory that serving takes.")
    private static let batches = Option(
        "batch", .list(of: .integer(in: 1...256)), default: [1, 8],
        help: "The batch sizes for which to print the division.")

    static let command = Command(
        name: "inspect", abstract: "describe a model file",
        discussion: "Prints architecture, parameters, cost, grid, preprocessing, labels, size and digest.",
        options: [[json, plan], OptionGroup("Plan", [batches]), Computation.options],
        positionals: [model],
        examples: [
            "Describe the bundled model:": "headwater inspect",
            "For programs:": "headwater inspect --json model.safetensors",
        ])

    static func run(_ arguments: ParsedArguments) throws -> ExitStatus {
        try arguments.require(
            !(arguments[json] && arguments[plan]), of: plan, "the plan is text and can't be combined with JSON",
            remedy: "leave out --json or --plan")
        if try !arguments[plan] {
            try arguments.refuse([batches], "it applies to the plan", remedy: "leave it out, or give --plan")
        }
        let file = try ModelFile(ModelSource.file(try arguments[model], access: .onDemand))
        let description = try ModelDescription(
            configuration: file.configuration, sha256: try file.sha256.description, byteCount: file.byteCount,
            storedType: file.elementTypes.map(\.rawValue).joined(separator: "+"))
        print(try arguments[json] ? try description.json() : description.text(of: file), terminator: "")
        if try arguments[plan] {
            let computation = try Computation(arguments)
            let model = try ReversibleModel(
                configuration: file.configuration, precision: computation.precision, kernels: computation.kernels,
                pool: computation.pool
            ) {
                try file.tensor($0)
            }
            print("\nWith the \(computation.kernels.name) kernels on \(computation.pool.count) workers:")
            print(model.planTable(batches: try arguments[batches], on: computation.pool))
            for batch in try arguments[batches] {
                let memory = try ModelMemory(
                    file.configuration, precision: computation.precision, capacity: batch,
                    workers: computation.pool.count)
                print(
                    "batch \(batch): the model and its activations take up to \(memory.servingBytes >> 20) MiB, and up to "
                        + "\(memory.peakBytes(fileBytes: file.byteCount) >> 20) MiB while the model loads")
            }
        }
        return .success
    }
}
