import FoundationEssentials
import ReverseODE
import Tensor

/// `headwater bench`: how fast this machine computes.
enum BenchCommand {
    private static let models = Option(
        "model", .list(of: .string("MODEL")), default: ["bundled", "u32", "u64"],
        help:
            "What to measure: bundled, u32 and u64 (the published networks with random weights), or model files; with "
            + "--serve, bundled if not given.")
    private static let batches = Option(
        "batch", optional: .list(of: .integer(in: 1...256)),
        help: "Batch sizes; 1 and 8, for u64 1 and 4, if not given.")
    private static let seconds = Option(
        "seconds", .number(in: 0...3600), default: 5, help: "About how long each row is measured.")
    private static let json = Option(flag: "json", default: false, help: "Print JSON.")

    static let command = Command(
        name: "bench", abstract: "measure how fast models run here",
        discussion: "Times one evaluation and the whole reverse pass, in milliseconds an image, medians with the least "
            + "and the greatest. OPENBLAS_* variables are printed: unset them for measurements.\n\n"
            + "With --serve it starts services of this program and posts images to them: first by clients that wait "
            + "for their answers, which finds the capacity, then at the times of a Poisson process at shares of the "
            + "capacity, for each way of batching in turn. Latencies count from when a request was due, whenever it "
            + "could be sent; a turn's first fifth, in which queues fill, does not count.",
        options: [
            models.specification, batches.specification, seconds.specification, json.specification,
            KernelChoice.option.specification, KernelChoice.workers.specification,
        ] + ServedBenchCommand.options,
        examples: [
            Command.Example(
                line: "env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE headwater bench --model u32 --batch 8",
                effect: "Time U32 at batch 8:"),
            Command.Example(
                line: "headwater bench --serve --seconds 20", effect: "See how the bundled model does under load:"),
        ])

    /// What is printed as JSON.
    private struct Report: Codable {
        let kernels: String
        let workers: Int
        let openBLASCore: String
        let openBLASVariables: [String: String]
        let measurements: [Benchmark.Measurement]
        let peakResidentBytes: Int
    }

    static func run(_ arguments: ParsedArguments) async throws -> Int32 {
        guard try arguments[ServedBenchCommand.serve] else {
            try ServedBenchCommand.refuseOptions(arguments)
            return try measureEngine(arguments)
        }
        guard arguments.source(of: batches) == nil else {
            throw UsageError("--batch is for the engine alone", at: "--batch", remedy: "give --max-batch to a service")
        }
        return try await ServedBenchCommand.run(
            arguments, models: arguments.source(of: models) == nil ? ["bundled"] : try arguments[models],
            seconds: try arguments[seconds], isJSON: try arguments[json])
    }

    private static func measureEngine(_ arguments: ParsedArguments) throws -> Int32 {
        let kernels = try KernelChoice.kernels(try arguments[KernelChoice.option])
        let pool = KernelChoice.pool(try arguments[KernelChoice.workers])
        let isJSON = try arguments[json]
        if !isJSON { printHead(kernels, pool) }
        var measurements: [Benchmark.Measurement] = []
        for name in try arguments[models] {
            let (benchmark, defaultBatches) = try benchmark(name, kernels: kernels, pool: pool)
            for batch in try arguments[batches] ?? defaultBatches {
                let measurement = try benchmark.measure(batch: batch, seconds: try arguments[seconds])
                measurements.append(measurement)
                if !isJSON { printRow(measurement) }
            }
        }
        if isJSON {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
            let report = Report(
                kernels: kernels.name, workers: pool.count, openBLASCore: BLAS.selectedCore,
                openBLASVariables: openBLASVariables, measurements: measurements, peakResidentBytes: peakBytes())
            print(String(decoding: try encoder.encode(report), as: UTF8.self))
        } else {
            print("peak resident memory \(peakBytes() >> 20) MiB")
        }
        return 0
    }

    private static func benchmark(
        _ name: String, kernels: Kernels, pool: WorkerPool
    ) throws -> (Benchmark, batches: [Int]) {
        let clock = ContinuousClock()
        let start = clock.now
        let model: ReversibleModel
        var batches = [1, 8]
        if let published = Benchmark.published.first(where: { $0.name == name }) {
            model = try Benchmark.random(published.architecture, name: name, pool: pool)
            batches = published.batches
        } else {
            model = try ModelSource.load(name == "bundled" ? nil : name, pool: pool).model
        }
        let seconds = start.duration(to: clock.now) / .seconds(1)
        return (Benchmark(name: name, model: model, loadSeconds: seconds, kernels: kernels, pool: pool), batches)
    }

    private static func printHead(_ kernels: Kernels, _ pool: WorkerPool) {
        print("kernels \(kernels.name), \(pool.count) workers; OpenBLAS core \(BLAS.selectedCore)")
        for (name, value) in openBLASVariables.sorted(by: { $0.key < $1.key }) { print("\(name)=\(value)") }
        print("milliseconds an image: median (least-greatest)\n")
        print(
            padded("model", 12) + paddedLeft("batch", 5) + paddedLeft("evaluation", 26) + paddedLeft("GFLOP/s", 9)
                + paddedLeft("whole pass", 26) + paddedLeft("evals", 6) + paddedLeft("load s", 8)
                + paddedLeft("arena MiB", 10))
    }

    private static func printRow(_ row: Benchmark.Measurement) {
        func spread(_ spread: Benchmark.Spread) -> String {
            "\(decimal(spread.median)) (\(decimal(spread.least))-\(decimal(spread.greatest)))"
        }
        print(
            padded(row.model, 12) + paddedLeft("\(row.batch)", 5) + paddedLeft(spread(row.evaluation), 26)
                + paddedLeft("\(Int(row.effectiveGigaflops))", 9) + paddedLeft(spread(row.pass), 26)
                + paddedLeft("\(row.evaluations)", 6) + paddedLeft(decimal(row.loadSeconds), 8)
                + paddedLeft("\(row.activationBytes >> 20)", 10))
    }

    private static func decimal(_ value: Double) -> String { "\((value * 100).rounded() / 100)" }

    private static var openBLASVariables: [String: String] {
        ProcessInfo.processInfo.environment.filter { $0.key.hasPrefix("OPENBLAS_") }
    }

    /// The most memory that was ever resident, from /proc/self/status.
    private static func peakBytes() -> Int {
        let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
        let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
        return line.flatMap { Int($0.filter(\.isNumber)) }.map { $0 << 10 } ?? 0
    }
}
