import CMicroHTTPD
import FeatureService
import FlowModel
import Foundation
import HTTPServer
import Machine
import ReverseODE
import Synchronization
import Telemetry
import Tensor
import TestBench
import TestFixtures
import Testing

@testable import API

extension TinyModel {
    /// The models that nearly every test starts with, made once.
    static let classifier = bytes(hasHead: true)
    static let headless = bytes(hasHead: false)

    private static func bytes(hasHead: Bool) -> [UInt8] {
        try! withTemporaryFolder { folder in
            let path = folder.appending(path: "a").path
            try write(to: path, name: "a", seed: 1, hasHead: hasHead)
            return [UInt8](try Data(contentsOf: URL(filePath: path)))
        }
    }
}

/// Keeps log lines.
final class LogCollector: LogSink {
    private let collected = Mutex<[String]>([])

    func write(_ line: [UInt8]) { collected.withLock { $0.append(String(decoding: line, as: UTF8.self)) } }

    var lines: [String] { collected.withLock { $0 } }

    /// The access lines as objects.
    func requests() throws -> [[String: Any]] { try lines(saying: "request") }

    /// The lines of messages that begin so, as objects.
    func lines(saying beginning: String) throws -> [[String: Any]] {
        try lines.compactMap { line in
            let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
            return (object?["message"] as? String)?.hasPrefix(beginning) == true ? object : nil
        }
    }
}

/// A service with both APIs on ports of their own, in a folder of its own.
struct TestService: Sendable {
    let service: FeatureService
    let checkpoints: CheckpointManager
    let publicAPI: PublicAPI
    let adminAPI: AdminAPI
    let server: Server
    let client: HTTPClient
    let admin: HTTPClient
    let log: LogCollector
    /// The model directory.
    let folder: String

    /// A wait limit that even an idle service exceeds.
    static let noWork = Duration.seconds(-1)

    static let build = BuildInformation(version: "1.2.3", commit: "c0ffee")

    struct Settings: Sendable {
        var api = PublicAPIConfiguration(build: TestService.build)
        var admin = AdminAPIConfiguration(build: TestService.build)
        var server = ServerConfiguration()
        var service = FeatureServiceConfiguration()
        var logLevel = LogLevel.info
        var tracing: RequestTracing?
        var hasHead = true
        var hasDirectory = true
        var starts = true
        var pool = TestService.pool
        var clock: @Sendable () -> ContinuousClock.Instant = { ContinuousClock.now }
        /// The memory that a model may take.
        var budget: MemoryBudget?
        /// Called in every self-test.
        var selfTest: @Sendable (ServedModel) throws -> Void = { _ in }
    }

    /// The parts that a program would put together, for the checkpoint at `initial`.
    static func manager(
        _ service: FeatureService, initial: String, directory: ModelDirectory?,
        log: CheckpointLog? = nil, budget: @escaping @Sendable () -> MemoryBudget? = { nil },
        preference: StartingCheckpoint.Preference = .latest,
        selfTest: @escaping @Sendable (ServedModel) throws -> Void = { _ in }
    ) -> CheckpointManager {
        let test = CheckpointSelfTest(kernels: .best, pool: pool)
        var parts = CheckpointManager.Parts(
            service: service, loader: ModelLoader(pool: pool, budget: budget),
            selfTest: {
                try selfTest($0)
                try test.run($0.model)
            },
            configured: .file(path: initial), directory: directory)
        parts.preference = preference
        if let log {
            parts.began = { log.began($0) }
            parts.ended = { log.ended($0) }
        }
        return CheckpointManager(parts)
    }

    static let pool = WorkerPool(count: 1)

    /// Runs both servers for the time of `body`.
    static func run<Value>(
        _ configure: (inout Settings) -> Void = { _ in }, _ body: (TestService) async throws -> Value
    ) async throws -> Value {
        var settings = Settings()
        settings.service.batchLimit = 4
        // However slow the machine is.
        settings.service.waitLimit = nil
        configure(&settings)
        let folder = FileManager.default.temporaryDirectory.appending(path: "headwater-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let initial = folder.appending(path: "a.safetensors").path
        try Data(settings.hasHead ? TinyModel.classifier : TinyModel.headless).write(to: URL(filePath: initial))

        let metrics = try ServiceMetrics(
            configuration: settings.service, build: build, kernels: Kernels.best.name)
        let service = FeatureService(
            configuration: settings.service, kernels: .best, pool: settings.pool, events: metrics.events,
            clock: settings.clock)
        let log = LogCollector()
        let logger = Logger(level: settings.logLevel, format: .json, sink: log)
        let checkpoints = manager(
            service, initial: initial, directory: settings.hasDirectory ? try ModelDirectory(path: folder.path) : nil,
            log: CheckpointLog(metrics: metrics, logger: logger),
            budget: { [budget = settings.budget] in budget },
            selfTest: settings.selfTest)
        if settings.starts { try await checkpoints.start() }
        let publicAPI = PublicAPI(
            service: service, configuration: settings.api, metrics: metrics, logger: logger,
            tracing: settings.tracing)
        let adminAPI = AdminAPI(
            service: service, checkpoints: checkpoints, configuration: settings.admin, metrics: metrics, logger: logger,
            tracing: settings.tracing)
        let servers = [try publicAPI.server(settings.server), try adminAPI.server(ServerConfiguration())]
        for server in servers { try server.start() }
        let result: Result<Value, any Error>
        do {
            result = .success(
                try await body(
                    TestService(
                        service: service, checkpoints: checkpoints, publicAPI: publicAPI, adminAPI: adminAPI,
                        server: servers[0], client: HTTPClient(port: servers[0].port),
                        admin: HTTPClient(port: servers[1].port), log: log,
                        folder: folder.path)))
        } catch {
            result = .failure(error)
        }
        for server in servers { await server.stop() }
        expectDeclaredStatuses(metrics.registry.exposition())
        return try result.get()
    }

    /// Whatever a test did, no route answered a status that it doesn't declare.
    private static func expectDeclaredStatuses(_ exposition: String) {
        let declared =
            PublicAPI.endpoints.map { ($0.method, $0.path, $0.statuses) }
            + AdminAPI.endpoints.map { ($0.method, $0.path, $0.statuses) }
        for match in exposition.matches(
            of: /headwater_requests_total{method="(.*)",route="(\/.*)",status="(\d+)"}/)
        {
            let method = match.1 == "HEAD" ? "GET" : match.1
            let statuses = declared.filter { $0.0 == method && $0.1 == match.2 }.reduce(transportStatuses) {
                $0.union($1.2)
            }
            // The access log's for a client that has gone, and for one that the server has cut.
            #expect(statuses.union([499, 0]).contains(Int(match.3) ?? 0), "\(match.0)")
        }
    }

    /// The public requests that haven't ended. An ended one has been logged and counted.
    var openRequests: Int { server.counters.activeRequests }

    /// Writes a further model into the model directory.
    func addModel(_ file: String, name: String = "b", seed: UInt64) throws {
        try TinyModel.write(to: folder + "/" + file, name: name, seed: seed)
    }

    /// Has a model of that configuration serve.
    func serve(_ configuration: ModelConfiguration) async throws {
        try TinyModel.write(configuration, to: folder + "/other.safetensors", seed: 3)
        let loaded = try await admin.postJSON("/admin/checkpoint?wait=true", #"{"path":"other.safetensors"}"#)
        #expect(loaded.status == 200, "\(loaded.text)")
    }
}

/// Headers of a request that is refused before its path is looked at.
let excessiveHeaders = ["X-Long": String(repeating: "x", count: 20_000)]

/// Whether requests with unknown transfer codings come to us; libmicrohttpd 1 refuses them itself.
let seesUnknownCodings = String(cString: MHD_get_version()).hasPrefix("0.")

/// A test's row about an unknown transfer coding, where it comes to us.
func unknownCodings<Row>(_ row: Row) -> [Row] { seesUnknownCodings ? [row] : [] }

/// An image that every test may post.
func sampleImage() throws -> [UInt8] { try TestFixtures.bytes("images/rgb-32x32.jpg") }
