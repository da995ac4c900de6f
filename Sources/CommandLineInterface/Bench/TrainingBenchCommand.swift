import Arguments
import Benchmarks
import Console
import FlowModel
import JSON
import Machine

/// `headwater bench training`: steps of training.
enum TrainingBenchCommand: Subcommand {
    private static let models = Option(
        "model", .list(of: .string("MODEL")), default: ["bundled", "u32"],
        help: "What to train, with random weights: bundled, u32, u64, small, or model files.")
    private static let stages = Option(
        "stage", .list(of: .choice("STAGE", of: TrainingBenchmark.Stage.self)), default: [.pretrain, .finetune],
        help: "The kinds of training to time: pretrain, and finetune, which goes through the whole reverse pass.")
    private static let batches = Option(
        "batch", optional: .list(of: .integer(in: 1...256)),
        help: "Batch sizes. The default is 128, for u32 and u64 8.")

    static let command = Command(
        name: "bench training", abstract: "time steps of training",
        discussion: "Times forward pass, backward pass and the optimizer's update together, in f32.",
        options: [
            [models, stages, batches, BenchCommand.evaluations, BenchCommand.seconds, BenchCommand.json],
            TrainingOptions.computation,
        ],
        examples: [
            "How fast the bundled model would be trained:": "headwater bench training --model bundled"
        ])

    /// What is printed as JSON.
    private struct Report: Codable {
        let kernels: String
        let workers: Int
        let measurements: [TrainingBenchmark.Measurement]
        let peakResidentBytes: Int
    }

    static func run(_ arguments: ParsedArguments) throws -> ExitStatus {
        let computation = try Computation(arguments, in: .f32)
        let isJSON = try arguments[BenchCommand.json]
        if !isJSON {
            print(
                "kernels \(computation.kernels.name), \(computation.pool.count) workers; milliseconds a step: median "
                    + "(least-greatest)\n\n\(TrainingBenchmark.Measurement.tableHead)")
        }
        var measurements: [TrainingBenchmark.Measurement] = []
        for name in try arguments[models] {
            let benchmark = try benchmark(name, arguments, computation)
            for stage in try arguments[stages] {
                for batch in try arguments[batches] ?? [["u32", "u64"].contains(name) ? 8 : 128] {
                    let row = try benchmark.measure(stage, batch: batch, seconds: try arguments[BenchCommand.seconds])
                    measurements.append(row)
                    if !isJSON { print(row.tableRow) }
                }
            }
        }
        let peak = ProcessMemory.peakResidentBytes()
        if isJSON {
            print(
                try JSONCoder.text(
                    Report(
                        kernels: computation.kernels.name, workers: computation.pool.count,
                        measurements: measurements, peakResidentBytes: peak), indented: true))
        } else {
            print("peak resident memory \(peak >> 20) MiB")
        }
        return .success
    }

    private static func benchmark(
        _ name: String, _ arguments: ParsedArguments, _ computation: Computation
    ) throws -> TrainingBenchmark {
        let capacity = try arguments[TrainingOptions.capacity]
        if let network = RandomNetwork(named: name) {
            return try TrainingBenchmark(
                network, evaluations: try arguments[BenchCommand.evaluations], capacity: capacity,
                kernels: computation.kernels, pool: computation.pool)
        }
        let file = try ModelFile(ModelSource.file(BenchCommand.path(ofModel: name), access: .onDemand))
        return try TrainingBenchmark(
            name, file.configuration, capacity: capacity, kernels: computation.kernels, pool: computation.pool)
    }
}
