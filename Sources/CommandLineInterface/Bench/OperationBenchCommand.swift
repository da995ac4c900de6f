import Arguments
import Benchmarks
import Console
import JSON
import Tensor

/// `headwater bench operations`: single operations of networks.
enum OperationBenchCommand: Subcommand {
    private static let batches = Option(
        "batch", .list(of: .integer(in: 1...256)), default: [1, 8], help: "Batch sizes.")
    private static let seconds = Option(
        "seconds", .number(in: 0...3600), default: 0.5, help: "The approximate time to measure each row.")

    static let command = Command(
        name: "bench operations", abstract: "time single operations of networks",
        discussion: """
            Times convolutions, attention and residual blocks at the sizes of the published networks, with random weights, in \
            milliseconds per image: median, minimum and maximum. Cases that read a transformed map include the 1x1 convolution \
            that makes it.
            """,
        options: [[batches, seconds, BenchCommand.json], Computation.options],
        examples: ["How fast the AVX2 kernels are:": "headwater bench operations --kernels avx2 --batch 1"])

    static func run(_ arguments: ParsedArguments) throws -> ExitStatus {
        let computation = try Computation(arguments)
        var table = try BenchTable<OperationBenchmark.Measurement>(
            arguments,
            title: "kernels \(computation.kernels.name) in \(computation.precision.rawValue), "
                + "\(computation.pool.count) workers\n")
        let benchmark = try OperationBenchmark(
            batches: try arguments[batches], seconds: try arguments[seconds], on: computation
        ) { table.append($0) }
        try table.end(benchmark, summary: nil)
        return .success
    }
}
