import Arguments
import CheckpointFormats
import Console
import FeatureService
import FlowModel
import ReverseODE
import Tensor

/// `headwater convert`: a model file written again with another description.
enum ConvertCommand: Subcommand {
    private static let model = Positional(
        "MODEL", optional: .file, help: "The model file. The default is the bundled model.")
    private static let output = Option(
        "output", short: "o", required: .file, help: "The file to write. It may be the model's own file.")
    private static let name = Option(
        "name", optional: .string("NAME"), help: "The model's name. The default is its present name.")
    private static let type = Option(
        "dtype", optional: .choice("TYPE", of: ImportCommand.StoredType.self),
        help: "The type in which weights are stored. The default is their present type.")

    static let command = Command(
        name: "convert",
        abstract: "write a model file with another grid, head time, solver, default tap, name or type of weights",
        discussion: """
            Like 'headwater import', this command records the new model's answer to a fixed input. 'headwater evaluate' shows \
            which tap is best. 'headwater grids' shows which grid is cheap and accurate enough. On another grid, a flow shows \
            other levels of its feature hierarchy. A head works poorly at a time at which it was not trained. When a grid goes \
            further, --head-at keeps the head at its time, and a default tap at the end moves to that time too.
            """,
        options: [
            [
                output, GridOptions.span, GridOptions.cutoff, GridOptions.headTime, GridOptions.solver,
                TapOptions.defaultTap, name,
                type,
            ],
            Computation.exactOptions,
        ],
        positionals: [model],
        examples: [
            "Halve the size and change the default tap:":
                "headwater convert finetuned/model.safetensors --default-tap 1/middle --dtype f16 -o "
                + "model.safetensors",
            "Extend the grid to noise, in eight steps:":
                "headwater convert pretrained/model.safetensors --t-span 9 -o all.safetensors",
            "The same, with the head still reading after the first step:":
                "headwater convert finetuned/model.safetensors --t-span 9 --head-at 0.875 -o all.safetensors",
        ])

    static func run(_ arguments: ParsedArguments) throws -> ExitStatus {
        let computation = try Computation(arguments, in: .f32)
        let file = try ModelFile(ModelSource.file(try arguments[model]))
        var configuration = file.configuration
        try GridOptions.locatingHeadTime(arguments) {
            try configuration.setGrid(
                try GridOptions.grid(arguments, of: configuration), headAt: try arguments[GridOptions.headTime])
        }
        if let solver = try arguments[GridOptions.solver] { configuration.solver = solver }
        if let name = try arguments[name] { configuration.name = name }
        try configuration.validate()
        if let tap = try arguments[TapOptions.defaultTap] { configuration.defaultTap = tap.written }
        let target = try arguments[output]
        do {
            try SelfTestedModel(
                configuration: configuration, type: try storedType(arguments, file), kernels: computation.kernels,
                pool: computation.pool
            ).write(to: target, weights: file.tensor)
        } catch let error as TapError {
            throw UsageError(
                error.description, at: arguments.place(of: TapOptions.defaultTap),
                remedy: "'headwater inspect' lists the model's times and places")
        }
        print(
            "\(target): \(configuration.name), default tap \(configuration.defaultTap)"
                + (configuration.headTime.map { ", the head reads at \($0.written)" } ?? ""))
        return .success
    }

    private static func storedType(_ arguments: ParsedArguments, _ file: ModelFile) throws -> ElementType {
        if let type = try arguments[type] { return type.elementType }
        try arguments.require(
            file.elementTypes.count == 1, of: type,
            "the model's weights are stored as \(file.elementTypes.map(\.rawValue).joined(separator: " and "))",
            remedy: "give --dtype, the type for them all")
        return file.elementTypes[0]
    }
}
