import API
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
        help: "Print how each layer is computed on this machine: its algorithm, its packed weights, and how each batch "
            + "size is divided among the workers.")
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
        if try arguments[json], try arguments[plan] {
            throw UsageError(
                "the plan is text and can't be combined with JSON", at: arguments.place(of: plan),
                remedy: "leave out --json or --plan")
        }
        let file = try ModelFile(ModelSource.file(try arguments[model], access: .onDemand))
        let description = try ModelDescription(
            configuration: file.configuration, sha256: try file.sha256.description, byteCount: file.byteCount,
            storedType: file.elementTypes.map(\.rawValue).joined(separator: "+"))
        print(
            try arguments[json] ? try description.json() : text(description, file),
            terminator: "")
        if try arguments[plan] {
            let computation = try Computation(arguments)
            let model = try ReversibleModel(
                configuration: file.configuration, precision: computation.precision, kernels: computation.kernels,
                pool: computation.pool
            ) {
                try file.tensor($0)
            }
            print("\nWith the \(computation.kernels.name) kernels on \(computation.pool.count) workers:")
            print(planTable(of: model, batches: try arguments[batches], on: computation.pool))
        }
        return .success
    }

    /// A line a layer. A division AxB means that the rows of all images are divided among A workers, and the output
    /// channels among B; "images", that each worker evaluates whole images of its own.
    private static func planTable(of model: ReversibleModel, batches: [Int], on pool: WorkerPool) -> String {
        let plans = batches.map { model.field.plans(batch: $0, on: pool) }
        guard let first = plans.first else { return "" }
        var lines = [
            "layer".padded(34) + "algorithm".padded(16) + "channels".leftPadded(12) + "side".leftPadded(5)
                + "weights KiB".leftPadded(12) + batches.map { "batch \($0)".leftPadded(10) }.joined()
        ]
        let isDivided = batches.map { model.field.isDividedByImages(batch: $0, workers: pool.count) }
        for (index, (key, plan)) in first.enumerated() {
            let algorithm = plan.kind.rawValue + (plan.precision == .f32 ? "" : " " + plan.precision.rawValue)
            let divisions = zip(isDivided, plans).map { isDivided, plans in
                isDivided ? "images" : "\(plans[index].plan.unitParts)x\(plans[index].plan.blockParts)"
            }
            lines.append(
                key.padded(34) + algorithm.padded(16) + "\(plan.inputs)>\(plan.outputs)".leftPadded(12)
                    + "\(plan.side)".leftPadded(5) + "\(plan.weightBytes >> 10)".leftPadded(12)
                    + divisions.map { $0.leftPadded(10) }.joined())
        }
        let weights = first.reduce(0) { $0 + $1.plan.weightBytes }
        lines.append("packed weights \(weights >> 20) MiB")
        for (index, batch) in batches.enumerated() {
            let shared = isDivided[index] ? 0 : plans[index].reduce(0) { $0 + $1.plan.sharedBytes(batch: batch) }
            lines.append(
                "batch \(batch): workers synchronise \(isDivided[index] ? "once" : "\(first.count) times") an evaluation and read at most "
                    + "\(shared >> 10) KiB of each other's activations")
        }
        return lines.joined(separator: "\n")
    }

    private static func text(_ model: ModelDescription, _ file: ModelFile) -> String {
        func inThousandths(_ value: Double) -> Double { (value * 1000).rounded() / 1000 }
        func list(_ values: [some Any]) -> String { values.map { "\($0)" }.joined(separator: ", ") }
        var rows = [
            ("name", model.name),
            ("version", model.version),
            ("sha256", model.sha256),
            ("size", "\(model.byteCount) bytes, weights stored as \(model.storedType)"),
            ("network", "\(model.architecture)"),
            (
                "head",
                model.head.map { head in
                    let input =
                        head.place.map { "\($0) at the end of the pass, one evaluation more" }
                        ?? "a \(head.pooledSize)x\(head.pooledSize) pooled state"
                    return "\(head.classes) classes from \(input), "
                        + (head.hiddenWidth.map { "hidden width \($0)" } ?? "linear")
                } ?? "none: pretrained only"
            ),
            ("parameters", "\(model.parameters)"),
            ("cost", "\(inThousandths(model.gigaflopsPerEvaluation)) GFLOP an evaluation"),
            (
                "cost up to",
                file.network.places.map { place in
                    "\(place) \(inThousandths(Double(file.network.floatingPointOperations(through: place)) / 1e9))"
                }.joined(separator: ", ") + " GFLOP"
            ),
            ("path", "\(model.pass.path), integrated by \(model.pass.solver)"),
            ("grid", list(model.pass.times)),
            ("evaluations", "\(model.pass.evaluations) an image"),
            (
                "input",
                "shorter side to \(model.preprocessing.resizeShorterSide), centre \(model.preprocessing.cropSize)x"
                    + "\(model.preprocessing.cropSize), mean \(list(model.preprocessing.mean)), deviation "
                    + list(model.preprocessing.standardDeviation)
            ),
            ("default tap", model.defaultTap),
            ("places", model.places.map { "\($0.place) (\($0.dimension))" }.joined(separator: ", ")),
        ]
        rows.append(
            (
                "self-test",
                file.configuration.selfTest.map {
                    "\($0.embedding.count) numbers at \($0.tap) and \($0.logits?.count ?? 0) logits recorded, tolerance "
                        + "\($0.tolerance)"
                } ?? "nothing recorded"
            ))
        if let labels = model.labels { rows.append(("labels", list(labels))) }
        return rows.map { "\($0.0.padded(12)) \($0.1)\n" }.joined()
    }
}
