import Arguments
import Benchmarks
import Console
import FeatureService
import FoundationEssentials
import ImagePipeline
import JSON
import Tensor
import Training

/// `headwater bench served`: the service under load.
enum ServedBenchCommand: Subcommand {
    private static let usual = ServedBenchmark.Plan()
    private static let models = Option(
        "model", .list(of: .string("MODEL")), default: ["bundled"],
        help: "What to serve: bundled, u32, u64 or small (networks with random weights), or model files.")
    private static let loads = Option(
        "load", .list(of: .number(in: 0.01...100)), default: usual.loads,
        help: "Open loads, as fractions of the capacity that the closed loop measures.")
    private static let batchings = Option(
        "batching", .list(of: .choice("MODE", of: BatchingMode.self)), default: usual.batchings,
        help: "The batching modes to compare.")
    private static let clients = Option(
        "clients", optional: .integer(in: 1...512),
        help: "The number of clients of the closed loop. The default is twice --max-batch.")
    private static let seconds = Option(
        "seconds", .number(in: 0.05...3600), default: usual.seconds, help: "The time of a turn.")
    private static let rounds = Option(
        "rounds", .integer(in: 1...1000), default: usual.rounds, help: "How many turns of --seconds each load gets.")
    private static let image = Option(
        "image", optional: .file, help: "The image to post. The default is a small PNG of gradients and noise.")

    static let command = Command(
        name: "bench served", abstract: "measure the service under load",
        discussion: """
            Starts services of this program and posts images to them. Clients that wait for their answers first measure the \
            capacity. Then requests arrive as a Poisson process at fractions of the capacity, for each batching mode in turn. \
            Latency counts from the time at which a request was due, even if it was sent later. The first fifth of a turn, \
            in which queues fill, doesn't count.
            """,
        options: [
            [models, BenchCommand.evaluations, loads, batchings, clients, seconds, rounds, image, BenchCommand.json],
            OptionGroup(
                "Service", [ServeOptions.batch, ServeOptions.wait, ServeOptions.waiting, ServeOptions.decoders]),
            Computation.options,
        ],
        examples: ["See how the bundled model does under load:": "headwater bench served --seconds 20"])

    static let isInterruptible = true

    @MainActor
    static func run(_ arguments: ParsedArguments) throws -> ExitStatus {
        let isJSON = try arguments[BenchCommand.json]
        var reports: [ServedReport] = []
        for name in try arguments[models] {
            let report = try measure(name, arguments)
            reports.append(report)
            if !isJSON { print(report.text) }
        }
        if isJSON { print(try JSONCoder.text(reports, indented: true)) }
        return .success
    }

    @MainActor
    private static func measure(_ name: String, _ arguments: ParsedArguments) throws -> ServedReport {
        let computation = try Computation(arguments)
        let batchLimit = try arguments[ServeOptions.batch]
        let model = try ServableModel(name, evaluations: try arguments[BenchCommand.evaluations])
        let served = try ModelSource.load(model.path, computation)
        let image = try arguments[image].map {
            try ImageFiles.bytes(of: $0, maximumBytes: ImageLimits().maximumBytes)
        }
        var serviceArguments = [
            "--kernels", computation.kernels.name, "--precision", computation.precision.rawValue, "--workers",
            "\(computation.pool.count)", "--max-batch", "\(batchLimit)", "--max-wait",
            arguments.text(of: ServeOptions.wait)!, "--max-waiting", "\(try arguments[ServeOptions.waiting])",
            "--decoders", "\(try arguments[ServeOptions.decoders])",
        ]
        if let path = model.path { serviceArguments += ["--model", path] }
        var plan = ServedBenchmark.Plan()
        plan.batchings = try arguments[batchings]
        plan.loads = try arguments[loads]
        plan.clients = try arguments[clients] ?? 2 * batchLimit
        plan.seconds = try arguments[seconds]
        plan.rounds = try arguments[rounds]
        plan.batchLimit = batchLimit
        plan.queueLimit = try arguments[ServeOptions.waiting]
        let benchmark = try ServedBenchmark(
            plan, served: served, on: computation, image: image, serviceArguments: serviceArguments)
        let bar = ProgressBar("measuring \(name)", of: benchmark.turns, unit: "turns")
        defer { bar.erase() }
        return try benchmark.run { bar.update($0) }
    }
}

/// A model to be served by another process, and so in a file: the bundled one, a file of the user's, or a network with random
/// weights, in a temporary file that exists as long as this value.
private final class ServableModel {
    /// Nil for the bundled model.
    let path: String?
    private let folder: String?

    init(_ name: String, evaluations: Int) throws {
        guard let network = RandomNetwork(named: name) else {
            path = BenchCommand.path(ofModel: name)
            folder = nil
            return
        }
        let folder = FileManager.default.temporaryDirectory.appending(path: "headwater-bench-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
        self.folder = folder
        path = folder + "/\(name).safetensors"
        try network.write(evaluations: evaluations, to: path!)
    }

    deinit {
        if let folder { try? FileManager.default.removeItem(atPath: folder) }
    }
}
