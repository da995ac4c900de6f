import Arguments
import Benchmarks
import Console
import FoundationEssentials
import JSON
import Machine
import Tensor

/// `headwater bench network`: evaluations and reverse passes.
enum NetworkBenchCommand: Subcommand {
    static let command = Command(
        name: "bench network", abstract: "time evaluations and the whole reverse pass",
        discussion: """
            Times one evaluation and the whole reverse pass, in milliseconds per image: median, minimum and maximum. Prints \
            the OPENBLAS_* variables; unset them for measurements.
            """,
        options: BenchCommand.networkOptions,
        examples: [
            "Time U32 at batch 8:":
                "env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE headwater bench network --model u32 --batch 8"
        ])

    /// What is printed as JSON.
    private struct Report: Codable {
        let kernels: String
        let precision: Precision
        let workers: Int
        let openBLASCore: String
        let openBLASVariables: [String: String]
        let measurements: [NetworkBenchmark]
        let peakResidentBytes: Int
    }

    static func run(_ arguments: ParsedArguments) throws -> ExitStatus {
        let computation = try Computation(arguments)
        var table = try BenchTable<NetworkBenchmark>(arguments, title: title(computation))
        try BenchCommand.forEachBatch(arguments, computation) { name, model, loadSeconds, batch in
            table.append(
                try NetworkBenchmark(
                    of: model, name: name, loadSeconds: loadSeconds, batch: batch,
                    seconds: try arguments[BenchCommand.seconds], on: computation))
        }
        let peak = ProcessMemory.peakResidentBytes()
        let report = Report(
            kernels: computation.kernels.name, precision: computation.precision, workers: computation.pool.count,
            openBLASCore: BLAS.selectedCore, openBLASVariables: openBLASVariables, measurements: table.rows,
            peakResidentBytes: peak)
        try table.end(report, summary: "peak resident memory \(peak >> 20) MiB")
        return .success
    }

    private static func title(_ computation: Computation) -> String {
        let variables = openBLASVariables.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)\n" }
        return "kernels \(computation.kernels.name) in \(computation.precision.rawValue), \(computation.pool.count) "
            + "workers; OpenBLAS core \(BLAS.selectedCore)\n\(variables.joined())milliseconds per image: median "
            + "(least-greatest)\n"
    }

    private static var openBLASVariables: [String: String] {
        ProcessInfo.processInfo.environment.filter { $0.key.hasPrefix("OPENBLAS_") }
    }
}
