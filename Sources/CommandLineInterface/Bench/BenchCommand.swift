import Arguments
import Benchmarks
import Console
import JSON
import Machine
import ReverseODE
import Tensor

/// `headwater bench`: how fast this machine computes. Each command of the group measures one thing.
enum BenchCommand {
    /// The group, and how its commands were written when they were options of one command.
    static let group = CommandGroup(
        name: "bench", abstract: "measure speed on this machine",
        discussion: "Unset the OPENBLAS_* variables for measurements.",
        formerOptions: [
            "--errors": "bench precision", "--profile": "bench profile", "--training": "bench training",
            "--decode": "bench decoding", "--serve": "bench served", "--write-model": "bench write-model",
        ], formerCommand: NetworkBenchCommand.command.name)

    static let models = Option(
        "model", .list(of: .string("MODEL")), default: ["bundled", "u32", "u64"],
        help: "What to measure: bundled; a network with random weights (PRG's u32 and u64; small; torchcfm-cifar10, "
            + "ddpm-cifar10, ddpm-256, adm-64 and edm-cifar10 of published families); or model files.")
    static let batches = Option(
        "batch", optional: .list(of: .integer(in: 1...256)),
        help: "Batch sizes. The default is 1 and 8; 1 and 4 for u64 and adm-64; 1 for ddpm-256.")
    static let evaluations = Option(
        "evaluations", .integer(in: 1...999), default: 3,
        help: "The number of evaluations in a pass of networks with random weights. The published settings have 31.")
    static let seconds = Option(
        "seconds", .number(in: 0...3600), default: 5, help: "The approximate time to measure each row.")
    static let json = Option(flag: "json", default: false, help: "Print JSON.")

    /// The options of commands that measure whole networks.
    static let networkOptions: [OptionGroup] = [[models, batches, evaluations, seconds, json], Computation.options]

    /// The model that `--model` calls `name`, and how many seconds it took to load.
    static func load(_ name: String, evaluations: Int, _ computation: Computation) throws -> (ReversibleModel, Double) {
        let clock = ContinuousClock()
        let start = clock.now
        let model =
            if let network = RandomNetwork(named: name) {
                try network.model(evaluations: evaluations, on: computation)
            } else {
                try ModelSource.load(path(ofModel: name), computation).model
            }
        return (model, start.duration(to: clock.now) / .seconds(1))
    }

    /// The file of a model that isn't random; nil for the bundled one.
    static func path(ofModel name: String) -> String? { name == "bundled" ? nil : name }

    /// Calls `measure` for each model of `--model`, by its name and the seconds it took to load, with each size of batches.
    static func forEachBatch(
        _ arguments: ParsedArguments, _ computation: Computation,
        measure: (String, ReversibleModel, _ loadSeconds: Double, _ batch: Int) throws -> Void
    ) throws {
        for name in try arguments[models] {
            let (model, loadSeconds) = try load(name, evaluations: try arguments[evaluations], computation)
            for batch in try arguments[batches] ?? RandomNetwork(named: name)?.batches ?? [1, 8] {
                try measure(name, model, loadSeconds, batch)
            }
        }
    }
}

/// The rows of a benchmark, printed as they are measured, or at the end as JSON.
struct BenchTable<Row: TableRow> {
    private let isJSON: Bool
    private(set) var rows: [Row] = []

    /// Prints what stands above the rows.
    ///
    /// - Parameter title: the lines above the table's first.
    init(_ arguments: ParsedArguments, title: @autoclosure () -> String) throws {
        isJSON = try arguments[BenchCommand.json]
        if !isJSON { print("\(title())\n\(Row.columns.head)") }
    }

    mutating func append(_ row: Row) {
        rows.append(row)
        if !isJSON { print(Row.columns.line(row.cells)) }
    }

    /// Prints the report that has the rows, or what stands below them.
    func end(_ report: some Encodable, summary: String?) throws {
        if isJSON { print(try JSONCoder.text(report, indented: true)) } else if let summary { print(summary) }
    }
}
