import API
import Arguments
import Console
import FeatureService
import FoundationEssentials
import Glibc
import HTTPServer
import Machine
import Telemetry
import Tensor

/// `headwater serve`: the service.
enum ServeCommand: Subcommand {
    static let command = Command(
        name: "serve", abstract: "serve embeddings and classes over HTTP",
        discussion: """
            Loads a model, checks the kernels, listens, and answers until SIGTERM or SIGINT. Then it reports not ready at \
            once, accepts requests for --drain-delay, finishes requests in progress within --drain-timeout, and exits with \
            0, or with 70 if requests were left. A second signal ends the program at once, unless it comes within a second \
            of the first; supervisors send signals twice.
            """,
        options: ServeOptions.all,
        examples: [
            "Serve the bundled model, on this machine only:": "headwater serve",
            "Serve a model of your own to every user who has a key:":
                "headwater serve --host '*' --model cifar10.safetensors --api-key-file keys",
            "Ask for an embedding:": "curl --data-binary @photo.jpg localhost:8080/embed",
        ])

    static func run(_ arguments: ParsedArguments) async throws -> ExitStatus {
        let build = HeadwaterProgram.build
        let clock = ContinuousClock()
        let began = clock.now
        ProcessMemory.limitArenas()
        let logger = Logger.standardError(
            level: try arguments[ServeOptions.logLevel], format: try arguments[ServeOptions.logFormat])
        // Refused before the log shows it, if it holds a password.
        let collector = try ServeTracing.endpoint(arguments)
        logger.info("configuration", configurationFields(arguments, build))
        let signals = try ServeSignals(logger: logger)
        let computation = try Computation(arguments, endsStart: false)
        let (kernels, pool) = (computation.kernels, computation.pool)
        try KernelSelfTest.run(kernels)
        logger.info(
            "computing",
            ["kernels": .string(kernels.name), "workers": .integer(pool.count), "openblas": .string(BLAS.selectedCore)])

        let configuration = try ServeOptions.service(arguments)
        let metrics = try ServiceMetrics(configuration: configuration, build: build, kernels: kernels.name)
        let service = FeatureService(configuration: configuration, kernels: kernels, pool: pool, events: metrics.events)
        let checkpoints = try checkpoints(
            arguments, service, computation, log: CheckpointLog(metrics: metrics, logger: logger))
        let sockets = try ActivatedSockets(environment: ProcessInfo.processInfo.environment, process: getpid())
        let tracing = try ServeTracing(to: collector, arguments, build, metrics: metrics, logger: logger)
        let publicAPI = PublicAPI(
            service: service, configuration: try ServeOptions.publicAPI(arguments, build),
            metrics: metrics, logger: logger, tracing: tracing?.requests)
        let server = try publicAPI.server(ServeOptions.server(arguments, sockets))
        let adminAPI = AdminAPI(
            service: service, checkpoints: checkpoints, configuration: try ServeOptions.adminAPI(arguments, build),
            metrics: metrics, logger: logger, tracing: tracing?.requests)
        let admin = try adminAPI.server(ServeOptions.adminServer(arguments, sockets))
        ProcessExit.prepare {
            server.removeSocketFile()
            admin.removeSocketFile()
        }
        let reload = ServeReload(
            arguments: arguments, server: server, publicAPI: publicAPI, adminAPI: adminAPI, checkpoints: checkpoints,
            metrics: metrics, logger: logger)
        try reload.warnOfGuessableKeys()

        // Listening before the model is loaded lets probes tell a service that starts from one that is gone.
        try admin.start()
        try server.start()
        log(try await checkpoints.start(), logger)
        guard let served = await service.active, let address = server.address, let adminAddress = admin.address else {
            throw CommandFailure(.internalFault, "no model was activated")
        }
        SignalThread.shared.startIsOver()
        signals.beginServing()
        let reloading = Task { for await _ in signals.reloads { await reload.run() } }
        defer { reloading.cancel() }
        var fields: LogFields = [
            "url": .string(address.url(scheme: try arguments[ServeOptions.certificate] == nil ? "http" : "https")),
            "admin_url": .string(adminAddress.url(scheme: "http")), "admin_port": .integer(admin.port),
            "model": .string(served.version.name), "version": .string(served.version.label),
            "seconds": .number(began.duration(to: clock.now) / .seconds(1)),
        ]
        if admin.port == 0 { fields["admin_port"] = nil }
        logger.info("ready", fields)

        await signals.stopRequest()
        return try await stop(
            service, server: server, admin: admin, tracing: tracing, delay: try arguments[ServeOptions.drainDelay],
            timeout: try arguments[ServeOptions.drainTimeout], logger: logger)
    }

    /// Every option that has a value, defaults included. Keys and tokens are in files, of which the paths are named.
    private static func configurationFields(_ arguments: ParsedArguments, _ build: BuildInformation) -> LogFields {
        var fields: LogFields = ["program_version": .string(build.version), "commit": .string(build.commit)]
        for (name, text) in arguments.texts { fields[name.replacing("-", with: "_")] = .string(text) }
        return fields
    }

    /// Not ready at once; accepting for `delay`; then everything in flight is finished.
    private static func stop(
        _ service: FeatureService, server: Server, admin: Server, tracing: ServeTracing?, delay: Duration,
        timeout: Duration, logger: Logger
    ) async throws -> ExitStatus {
        await service.retireReadiness()
        let inFlight = await service.status().inFlight
        logger.info("stopping", ["in_flight": .integer(inFlight)])
        try await Task.sleep(for: delay)
        let end = ContinuousClock.now + timeout
        let isComplete = await server.drain(timeout: timeout)
        await service.beginDraining()
        // While the admin listener still tells how many spans are lost.
        await tracing?.finish(by: end)
        _ = await admin.drain(timeout: .seconds(1))
        logger.info("stopped", ["complete": .boolean(isComplete)])
        return isComplete ? .success : .internalFault
    }

    private static func checkpoints(
        _ arguments: ParsedArguments, _ service: FeatureService, _ computation: Computation, log: CheckpointLog
    ) throws -> CheckpointManager {
        let selfTest = CheckpointSelfTest(kernels: computation.kernels, pool: computation.pool)
        let configured: ConfiguredCheckpoint =
            if let path = try arguments[ModelSource.option] { .file(path: path) } else {
                .builtIn(try ModelSource.file(nil))
            }
        var parts = CheckpointManager.Parts(
            service: service,
            loader: ModelLoader(
                precision: computation.precision, kernels: computation.kernels, pool: computation.pool,
                capacity: try arguments[ServeOptions.batch]),
            selfTest: { try selfTest.run($0.model) },
            configured: configured,
            directory: try arguments[ServeOptions.modelDirectory].map { try ModelDirectory(path: $0) })
        parts.preference = try ServeOptions.preference(arguments)
        parts.began = { log.began($0) }
        parts.ended = { log.ended($0) }
        return CheckpointManager(parts)
    }

    /// Tells which model was chosen where there were two.
    private static func log(_ report: StartReport, _ logger: Logger) {
        guard let activated = report.activated else { return }
        let unknown = "unreadable"
        logger.info(
            report.choice.resumes ? "resuming the activated checkpoint" : "starting with the configured model",
            [
                "reason": .string(report.choice.reason.rawValue), "checkpoint": .string(activated.path),
                "checkpoint_version": .string(activated.sha256.map { String($0.prefix(12)) } ?? unknown),
                "configured": .string(report.configured.source),
                "configured_version": .string(report.configured.sha256.map { String($0.prefix(12)) } ?? unknown),
                "detail": "--resume-checkpoint and --no-resume-checkpoint choose",
            ])
    }
}
