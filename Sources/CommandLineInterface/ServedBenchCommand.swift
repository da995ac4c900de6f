import Arguments
import Console
import FeatureService
import FoundationEssentials
import Tensor
import Training

/// `headwater bench --serve`: how the service does under load.
enum ServedBenchCommand {
    static let serve = Option(
        flag: "serve", default: false, help: "Measure the service under load instead of the engine.", group: "Served")
    static let loads = Option(
        "load", .list(of: .number(in: 0.01...100)), default: [0.3, 0.6, 0.9, 1.5],
        help: "Open loads, as fractions of the capacity that the closed loop measures.", group: "Served")
    static let batchings = Option(
        "batching", .list(of: .choice("MODE", of: BatchingMode.self)), default: [.step, .request],
        help: "The batching modes to compare.", group: "Served")
    static let clients = Option(
        "clients", optional: .integer(in: 1...512),
        help: "The number of clients of the closed loop. The default is twice --max-batch.", group: "Served")
    static let rounds = Option(
        "rounds", .integer(in: 1...1000), default: 3, help: "How many turns of --seconds each load gets.",
        group: "Served")
    static let image = Option(
        "image", optional: .file, help: "The image to post. The default is a small PNG of gradients and noise.",
        group: "Served")

    static let options: [OptionSpecification] = [
        serve.specification, loads.specification, batchings.specification, clients.specification,
        rounds.specification, image.specification, ServeOptions.batch.specification,
        ServeOptions.wait.specification, ServeOptions.waiting.specification, ServeOptions.decoders.specification,
    ]

    /// - Throws: `UsageError` if an option of --serve was given without it.
    static func refuseOptions(_ arguments: ParsedArguments) throws(UsageError) {
        let given = options.map(\.name).first {
            // A variable may be meant for another command.
            if case .flag = arguments.source(ofOptionNamed: $0) { true } else { false }
        }
        guard let given, given != serve.specification.name else { return }
        throw UsageError("applies only with --serve", at: "--\(given)", remedy: "give --serve too")
    }

    /// Measures each of `models` and prints what comes of it.
    static func run(
        _ arguments: ParsedArguments, models: [String], evaluations: Int, seconds: Double, isJSON: Bool
    ) async throws -> ExitStatus {
        guard seconds >= 0.05 else {
            throw UsageError("is too short for a turn", at: "--seconds", remedy: "give at least 0.05")
        }
        return try await Interruption.cancelling {
            var reports: [ServedReport] = []
            for name in models {
                let report = try measure(name, evaluations: evaluations, arguments, seconds: seconds)
                reports.append(report)
                if !isJSON { show(report) }
            }
            if isJSON {
                let encoder = JSONEncoder()
                encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
                print(String(decoding: try encoder.encode(reports), as: UTF8.self))
            }
            return .success
        }
    }

    @MainActor
    private static func measure(
        _ name: String, evaluations: Int, _ arguments: ParsedArguments, seconds: Double
    ) throws -> ServedReport {
        let precision = try arguments[KernelChoice.precision]
        let kernels = try KernelChoice.kernels(arguments)
        let pool = try KernelChoice.pool(arguments)
        let batchLimit = try arguments[ServeOptions.batch]
        let model = try ServableModel(name, evaluations: evaluations)
        let served = try ModelSource.load(model.path, precision: precision, kernels: kernels, pool: pool)
        let image =
            try arguments[image].map { try ImageFiles.bytes(of: $0, maximumBytes: FeatureExtraction.maximumBytes) }
            ?? ServedBenchmark.builtInImage(side: served.model.side)
        var serviceArguments = [
            "--kernels", kernels.name, "--precision", precision.rawValue, "--workers", "\(pool.count)", "--max-batch",
            "\(batchLimit)",
            "--max-wait", arguments.text(of: ServeOptions.wait)!,
            "--max-waiting", "\(try arguments[ServeOptions.waiting])",
            "--decoders", "\(try arguments[ServeOptions.decoders])",
        ]
        if let path = model.path { serviceArguments += ["--model", path] }
        let benchmark = ServedBenchmark(
            plan: ServedBenchmark.Plan(
                batchings: try arguments[batchings], loads: try arguments[loads],
                clients: try arguments[clients] ?? 2 * batchLimit, seconds: seconds,
                rounds: try arguments[rounds], batchLimit: batchLimit,
                queueLimit: try arguments[ServeOptions.waiting]),
            served: served, kernels: kernels, pool: pool, image: image, serviceArguments: serviceArguments)
        let bar = ProgressBar("measuring \(name)", of: benchmark.turns, unit: "turns")
        defer { bar.erase() }
        return try benchmark.run { bar.update($0) }
    }

    private static func show(_ report: ServedReport) {
        print(
            "\(report.model): kernels \(report.kernels), \(report.workers) workers, batches of \(report.batchLimit), "
                + "\(report.queueLimit) may wait; an image of \(report.imageBytes) bytes to /embed; "
                + "\(report.rounds) rounds of \(report.seconds) s")
        print(
            "engine alone: \(Int(report.engineImagesPerSecond.rounded())) images/s; capacity, \(report.clients) clients "
                + "in a closed loop: \(Int(report.capacity.rounded())) images/s")
        print("milliseconds from when a request was due, p50/p95/p99\n")
        print(report.table + "\n")
        for finding in report.findings { print(finding) }
        print("")
    }
}

/// A model to be served by a process of its own, hence in a file: the bundled one, a file of the user's, or one of the
/// published networks with random weights, written to a temporary file that goes with this value.
private final class ServableModel {
    /// Nil for the bundled model.
    let path: String?
    private let folder: String?

    init(_ name: String, evaluations: Int) throws {
        guard let network = Benchmark.networks.first(where: { $0.name == name }) else {
            path = name == "bundled" ? nil : name
            folder = nil
            return
        }
        let folder = FileManager.default.temporaryDirectory.appending(path: "headwater-bench-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
        self.folder = folder
        path = folder + "/\(name).safetensors"
        try Benchmark.writeRandom(network.architecture, name: name, evaluations: evaluations, to: path!)
    }

    deinit {
        if let folder { try? FileManager.default.removeItem(atPath: folder) }
    }
}
