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
            Times one evaluation and the whole reverse pass, in milliseconds an image: the median, with the least and the \
            greatest. Prints the OPENBLAS_* variables; unset them for measurements.
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
        let measurements: [NetworkBenchmark.Measurement]
        let peakResidentBytes: Int
    }

    static func run(_ arguments: ParsedArguments) throws -> ExitStatus {
        let computation = try Computation(arguments)
        let isJSON = try arguments[BenchCommand.json]
        if !isJSON { printHead(computation) }
        var measurements: [NetworkBenchmark.Measurement] = []
        for name in try arguments[BenchCommand.models] {
            let (model, loadSeconds) = try BenchCommand.load(
                name, evaluations: try arguments[BenchCommand.evaluations], computation)
            let benchmark = NetworkBenchmark(
                name: name, model: model, loadSeconds: loadSeconds, kernels: computation.kernels,
                pool: computation.pool)
            for batch in try BenchCommand.batches(arguments, ofModel: name) {
                let measurement = try benchmark.measure(batch: batch, seconds: try arguments[BenchCommand.seconds])
                measurements.append(measurement)
                if !isJSON { print(measurement.tableRow) }
            }
        }
        let peak = ProcessMemory.peakResidentBytes()
        if isJSON {
            print(
                try JSONCoder.text(
                    Report(
                        kernels: computation.kernels.name, precision: computation.precision,
                        workers: computation.pool.count, openBLASCore: BLAS.selectedCore,
                        openBLASVariables: openBLASVariables, measurements: measurements, peakResidentBytes: peak),
                    indented: true))
        } else {
            print("peak resident memory \(peak >> 20) MiB")
        }
        return .success
    }

    private static func printHead(_ computation: Computation) {
        print(
            "kernels \(computation.kernels.name) in \(computation.precision.rawValue), \(computation.pool.count) workers; "
                + "OpenBLAS core \(BLAS.selectedCore)")
        for (name, value) in openBLASVariables.sorted(by: { $0.key < $1.key }) { print("\(name)=\(value)") }
        print("milliseconds an image: median (least-greatest)\n\n\(NetworkBenchmark.Measurement.tableHead)")
    }

    private static var openBLASVariables: [String: String] {
        ProcessInfo.processInfo.environment.filter { $0.key.hasPrefix("OPENBLAS_") }
    }
}
