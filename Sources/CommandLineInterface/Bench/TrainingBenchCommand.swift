import Arguments
import Benchmarks
import Console
import FlowModel
import JSON
import Machine
import Tensor

/// `headwater bench training`: steps of training.
enum TrainingBenchCommand: Subcommand {
    private static let models = Option(
        "model", .list(of: .string("MODEL")), default: ["bundled", "u32"],
        help: "What to train, with random weights: bundled, u32, u64, small, or model files.")
    private static let stages = Option(
        "stage", .list(of: .choice("STAGE", of: TrainingBenchmark.Stage.self)), default: [.pretrain, .finetune],
        help: "The kinds of training to time: pretrain, and finetune, which takes the pass as far as the head reads.")
    private static let batches = Option(
        "batch", optional: .list(of: .integer(in: 1...256)),
        help: "Batch sizes. The default is 8 for u32 and u64, and 128 otherwise.")

    static let command = Command(
        name: "bench training", abstract: "time steps of training",
        discussion: "Times forward pass, backward pass and the optimizer's update together, in f32.",
        options: [
            [models, stages, batches, BenchCommand.evaluations, BenchCommand.seconds, BenchCommand.json],
            TrainingOptions.computation,
        ],
        examples: ["How fast the bundled model would be trained:": "headwater bench training --model bundled"])

    /// What is printed as JSON.
    private struct Report: Codable {
        let kernels: String
        let workers: Int
        let measurements: [TrainingBenchmark.Measurement]
        let peakResidentBytes: Int
    }

    static func run(_ arguments: ParsedArguments) throws -> ExitStatus {
        let computation = try Computation(arguments, in: .f32)
        var table = try BenchTable<TrainingBenchmark.Measurement>(
            arguments,
            title:
                "kernels \(computation.kernels.name), \(computation.pool.count) workers; milliseconds per step: median "
                + "(least-greatest)\n")
        for name in try arguments[models] {
            let benchmark = try TrainingBenchmark(
                name, try configuration(name, arguments), capacity: try arguments[TrainingOptions.capacity],
                on: computation)
            for stage in try arguments[stages] {
                for batch in try arguments[batches] ?? [["u32", "u64"].contains(name) ? 8 : 128] {
                    table.append(
                        try benchmark.measure(stage, batch: batch, seconds: try arguments[BenchCommand.seconds]))
                }
            }
        }
        let peak = ProcessMemory.peakResidentBytes()
        let report = Report(
            kernels: computation.kernels.name, workers: computation.pool.count, measurements: table.rows,
            peakResidentBytes: peak)
        try table.end(report, summary: "peak resident memory \(peak >> 20) MiB")
        return .success
    }

    private static func configuration(_ name: String, _ arguments: ParsedArguments) throws -> ModelConfiguration {
        if let network = RandomNetwork(named: name) {
            return network.configuration(evaluations: try arguments[BenchCommand.evaluations])
        }
        return try ModelFile(ModelSource.file(BenchCommand.path(ofModel: name), access: .onDemand)).configuration
    }
}
