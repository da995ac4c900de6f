import Arguments
import Console
import FeatureService
import FoundationEssentials
import Machine
import ReverseODE
import Tensor

/// `headwater bench`: how fast this machine computes.
enum BenchCommand {
    private static let models = Option(
        "model", optional: .list(of: .string("MODEL")),
        help: "What to measure: bundled, u32 and u64 (the published networks with random weights), small (the "
            + "bundled architecture with random weights), or model files. The default is bundled,u32,u64; with "
            + "--decode and --serve it is bundled.")
    private static let evaluations = Option(
        "evaluations", .integer(in: 1...999), default: 3,
        help: "The number of evaluations in a pass of networks with random weights. The published settings have 31.")
    private static let batches = Option(
        "batch", optional: .list(of: .integer(in: 1...256)),
        help: "Batch sizes. The default is 1,8, for u64 1,4; with --training it is 128, for u32 and u64 8.")
    private static let seconds = Option(
        "seconds", .number(in: 0...3600), default: 5, help: "The approximate time to measure each row.")
    private static let errors = Option(
        flag: "errors", default: false,
        help: "Print the difference between --precision bf16 and f32 instead of times: for the velocity of one "
            + "evaluation, and for the state and the pooled embedding after a whole pass. Networks with random "
            + "weights take 31 evaluations.")
    private static let decode = Option(
        "decode", repeated: .file,
        help: "Time the decoding of image files, or of a folder's, instead: at full size, and scaled as without "
            + "--exact-decode. Also prints the cosine between the two embeddings.")
    private static let writeModel = Option(
        "write-model", optional: .file,
        help: "Write u32, u64 or small (as --model says) with random weights to a model file instead of measuring.")
    private static let profile = Option(
        flag: "profile", default: false,
        help:
            "Print the time of evaluations by kind and size of layer, compared with the micro-kernel's peak, "
            + "instead of total times.")
    private static let json = Option(flag: "json", default: false, help: "Print JSON.")

    private static let defaultModels = ["bundled", "u32", "u64"]

    static let command = Command(
        name: "bench", abstract: "measure the speed of models on this machine",
        discussion: """
            Times one evaluation and the whole reverse pass, in milliseconds an image: the median, with the least and the \
            greatest. With --training, times steps of training. Prints the OPENBLAS_* variables; unset them for measurements.

            With --serve, starts services of this program and posts images to them. Clients that wait for their answers \
            first measure the capacity. Then requests arrive as a Poisson process at fractions of the capacity, for each \
            batching mode in turn. Latency counts from the time at which a request was due, even if it was sent later. \
            The first fifth of a turn, in which queues fill, doesn't count.
            """,
        options: [
            models.specification, decode.specification, errors.specification, profile.specification,
            evaluations.specification,
            writeModel.specification,
            batches.specification, seconds.specification, json.specification, KernelChoice.option.specification,
            KernelChoice.precision.specification, KernelChoice.workers.specification,
        ] + TrainingBenchCommand.options + ServedBenchCommand.options,
        examples: [
            Command.Example(
                line: "env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE headwater bench --model u32 --batch 8",
                effect: "Time U32 at batch 8:"),
            Command.Example(
                line: "headwater bench --decode photos", effect: "Measure the decoding of photographs:"),
            Command.Example(
                line: "headwater bench --training pretrain,finetune --model bundled",
                effect: "Measure training steps of the bundled model:"),
            Command.Example(
                line: "headwater bench --serve --seconds 20", effect: "Measure the bundled model under load:"),
        ])

    /// What is printed as JSON.
    private struct Report: Codable {
        let kernels: String
        let precision: Precision
        let workers: Int
        let openBLASCore: String
        let openBLASVariables: [String: String]
        let measurements: [Benchmark.Measurement]
        let peakResidentBytes: Int
    }

    static func run(_ arguments: ParsedArguments) async throws -> ExitStatus {
        guard try arguments[ServedBenchCommand.serve] else {
            try ServedBenchCommand.refuseOptions(arguments)
            return try measureEngine(arguments)
        }
        guard arguments.source(of: batches) == nil else {
            throw UsageError(
                "--batch applies only to the engine", at: "--batch", remedy: "use --max-batch for a service")
        }
        return try await ServedBenchCommand.run(
            arguments, models: try arguments[models] ?? ["bundled"], evaluations: try arguments[evaluations],
            seconds: try arguments[seconds], isJSON: try arguments[json])
    }

    private static func measureEngine(_ arguments: ParsedArguments) throws -> ExitStatus {
        if let path = try arguments[writeModel] {
            try writeRandomModel(
                try arguments[models] ?? [], evaluations: try arguments[evaluations], to: path)
            return .success
        }
        let precision = try arguments[KernelChoice.precision]
        let kernels = try KernelChoice.kernels(arguments)
        let pool = try KernelChoice.pool(arguments)
        let isJSON = try arguments[json]
        if let stages = try arguments[TrainingBenchCommand.stages] {
            guard precision == .f32 else {
                throw UsageError(
                    "training computes in f32", at: arguments.place(of: KernelChoice.precision), remedy: "leave it out")
            }
            try TrainingBenchCommand.run(
                stages, models: try arguments[models] ?? TrainingBenchCommand.defaultModels,
                evaluations: try arguments[evaluations], batches: try arguments[batches],
                seconds: try arguments[seconds], capacity: try arguments[TrainingOptions.capacity], kernels: kernels,
                pool: pool, isJSON: isJSON)
            return .success
        }
        if try arguments[errors] {
            try printErrors(
                of: try arguments[models] ?? defaultModels, kernels: kernels, pool: pool, isJSON: isJSON)
            return .success
        }
        let images = try arguments[decode]
        if !images.isEmpty {
            return try DecodingBenchmark.run(
                images, try decodingModel(arguments, precision: precision, kernels: kernels, pool: pool),
                kernels: kernels, pool: pool,
                seconds: try arguments[seconds], isJSON: isJSON)
        }
        if try arguments[profile] {
            try printProfiles(arguments, precision: precision, kernels: kernels, pool: pool)
            return .success
        }
        if !isJSON { printHead(kernels, precision, pool) }
        var measurements: [Benchmark.Measurement] = []
        for name in try arguments[models] ?? defaultModels {
            let (benchmark, defaultBatches) = try benchmark(
                name, evaluations: try arguments[evaluations], precision: precision, kernels: kernels, pool: pool)
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
                kernels: kernels.name, precision: precision, workers: pool.count, openBLASCore: BLAS.selectedCore,
                openBLASVariables: openBLASVariables, measurements: measurements,
                peakResidentBytes: ProcessMemory.peakResidentBytes())
            print(String(decoding: try encoder.encode(report), as: UTF8.self))
        } else {
            print("peak resident memory \(ProcessMemory.peakResidentBytes() >> 20) MiB")
        }
        return .success
    }

    /// The one model whose input images are decoded for. Random weights would make the cosine meaningless.
    private static func decodingModel(
        _ arguments: ParsedArguments, precision: Precision, kernels: Kernels, pool: WorkerPool
    ) throws -> ServedModel {
        let names = try arguments[models] ?? ["bundled"]
        guard names.count == 1, !Benchmark.networks.contains(where: { $0.name == names[0] }) else {
            throw UsageError(
                "--decode needs one model with weights of its own", at: "--model", remedy: "give bundled or a file")
        }
        return try ModelSource.load(
            names[0] == "bundled" ? nil : names[0], precision: precision, kernels: kernels, pool: pool)
    }

    private static func benchmark(
        _ name: String, evaluations: Int, precision: Precision, kernels: Kernels, pool: WorkerPool
    ) throws -> (Benchmark, batches: [Int]) {
        let clock = ContinuousClock()
        let start = clock.now
        let model: ReversibleModel
        var batches = [1, 8]
        if let network = Benchmark.networks.first(where: { $0.name == name }) {
            model = try Benchmark.random(
                network.architecture, name: name, evaluations: evaluations, precision: precision, kernels: kernels,
                pool: pool)
            batches = network.batches
        } else {
            model = try ModelSource.load(
                name == "bundled" ? nil : name, precision: precision, kernels: kernels, pool: pool
            ).model
        }
        let seconds = start.duration(to: clock.now) / .seconds(1)
        return (Benchmark(name: name, model: model, loadSeconds: seconds, kernels: kernels, pool: pool), batches)
    }

    private static func writeRandomModel(_ names: [String], evaluations: Int, to path: String) throws {
        guard names.count == 1, let network = Benchmark.networks.first(where: { $0.name == names[0] }) else {
            throw UsageError(
                "--write-model writes one network with random weights", at: "--model",
                remedy: "give u32, u64 or small")
        }
        try Benchmark.writeRandom(network.architecture, name: network.name, evaluations: evaluations, to: path)
    }

    private static func printProfiles(
        _ arguments: ParsedArguments, precision: Precision, kernels: Kernels, pool: WorkerPool
    ) throws {
        for name in try arguments[models] ?? defaultModels {
            let (benchmark, defaultBatches) = try benchmark(
                name, evaluations: try arguments[evaluations], precision: precision, kernels: kernels, pool: pool)
            for batch in try arguments[batches] ?? defaultBatches {
                let profile = try EvaluationProfile(
                    name: name, model: benchmark.model, batch: batch, seconds: try arguments[seconds], kernels: kernels,
                    pool: pool)
                print(
                    try arguments[json]
                        ? String(decoding: try JSONEncoder().encode(profile), as: UTF8.self) : profile.table)
            }
        }
    }

    private static func printErrors(of names: [String], kernels: Kernels, pool: WorkerPool, isJSON: Bool) throws {
        func model(_ name: String, _ precision: Precision) throws -> ReversibleModel {
            if let network = Benchmark.networks.first(where: { $0.name == name }) {
                return try Benchmark.random(
                    network.architecture, name: name, evaluations: 31, precision: precision, kernels: kernels,
                    pool: pool)
            }
            return try ModelSource.load(
                name == "bundled" ? nil : name, precision: precision, kernels: kernels, pool: pool
            ).model
        }
        if !isJSON { print("bf16 against f32; kernels \(kernels.name)") }
        for name in names {
            let error = try PrecisionError(
                name: name, exact: try model(name, .f32), reduced: try model(name, .bf16), kernels: kernels, pool: pool)
            if isJSON {
                print(String(decoding: try JSONEncoder().encode(error), as: UTF8.self))
            } else {
                print(
                    "\(name): velocity \(error.velocity); after \(error.evaluations) evaluations state \(error.state), "
                        + "embedding's cosine \(error.cosine)")
            }
        }
    }

    private static func printHead(_ kernels: Kernels, _ precision: Precision, _ pool: WorkerPool) {
        print(
            "kernels \(kernels.name) in \(precision.rawValue), \(pool.count) workers; OpenBLAS core \(BLAS.selectedCore)"
        )
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
}
