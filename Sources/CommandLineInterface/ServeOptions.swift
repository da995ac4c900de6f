import API
import Arguments
import Console
import FeatureService
import FoundationEssentials
import HTTPServer
import ImagePipeline
import Machine
import Telemetry
import Tensor

/// The flags of `headwater serve` and what they come to.
enum ServeOptions {
    static let host = Option(
        "host", .string("ADDRESS"), default: "127.0.0.1",
        help: "Where to listen; * is every address, and unix:/PATH is a socket in the file system.")
    static let port = Option("port", short: "p", .port, default: 8080, help: "The port to listen on.")
    static let adminHost = Option(
        "admin-host", .string("ADDRESS"), default: "127.0.0.1",
        help: "Where metrics and checkpoints are served; unix:/PATH is a socket in the file system.")
    static let adminPort = Option("admin-port", .port, default: 8081, help: "The port of the admin listener.")
    static let socketMode = Option(
        "socket-mode", .permissions, default: 0o660, help: "The permissions of the file of --host unix:/PATH.")
    static let adminSocketMode = Option(
        "admin-socket-mode", .permissions, default: 0o600,
        help: "The permissions of the file of --admin-host unix:/PATH.")
    static let connections = Option(
        "max-connections", .integer(in: 1...100_000), default: 1024, help: "The most open connections.")
    static let body = Option(
        "max-body", .bytes(in: 1...(1 << 31)), default: 32 << 20, help: "The largest request body.")
    static let header = Option(
        "max-header", .bytes(in: 1024...(1 << 20)), default: 16 << 10, help: "The largest request head.")
    static let requestTimeout = Option(
        "request-timeout", .duration(in: .milliseconds(1) ... .seconds(86_400)), default: .seconds(30),
        help: "The time that a client has to send its request. A slower one is disconnected.")
    static let idleTimeout = Option(
        "idle-timeout", .duration(in: .milliseconds(1) ... .seconds(86_400)), default: .seconds(75),
        help: "The time that a connection may stay idle between requests.")
    static let certificate = Option(
        "tls-certificate", optional: .file,
        help: "A PEM file of the certificate chain. Together with --tls-key it turns TLS on.")
    static let key = Option("tls-key", optional: .file, help: "A PEM file of the private key.")
    static let apiKeys = Option(
        "api-key-file", optional: .file,
        help: "A file of API keys, one per line. Every route except health and the page at / then requires one.")

    static let playground = Option(
        flag: "playground", default: true, help: "Serve a page at / to try the service in a browser.")

    static let adminToken = Option(
        "admin-token-file", optional: .file,
        help: "A file with the bearer token of the admin listener. Without a token, that listener must be on loopback.")
    static let modelDirectory = Option(
        "model-directory", optional: .folder,
        help: "The folder of model files that the admin listener may load and store. Without this folder, the admin "
            + "listener can't change the model.")
    static let resume = Option(
        optionalFlag: "resume-checkpoint",
        help: "Start with the checkpoint that the admin listener activated last; --no-resume-checkpoint starts with "
            + "--model. By default, the later decision counts: activating the checkpoint or configuring another model.")

    static let batch = Option("max-batch", .integer(in: 1...256), default: 8, help: "The most images in a step.")
    static let waiting = Option(
        "max-waiting", .integer(in: 1...1_000_000), default: 1024,
        help: "The most images that wait, which bounds memory. A request that would exceed this number is refused, "
            + "unless no image waits.")
    static let wait = Option(
        "max-wait", .duration(in: .milliseconds(1) ... .seconds(86_400)), default: .seconds(5),
        help: "The longest wait that a request may expect, predicted from the queue and the present rate. While the "
            + "predicted wait is longer, requests are refused.")
    static let decoders = Option(
        "decoders", .integer(in: 1...256), default: 2, help: "The number of images decoded at the same time.")
    static let images = Option(
        "max-images", .integer(in: 1...10_000), default: 32, help: "The most images in a request.")
    static let pixels = Option(
        "max-pixels", .integer(in: 1...1_000_000_000), default: 64_000_000, help: "The most pixels of an image.")
    static let aspect = Option(
        "max-aspect", .number(in: 1...100_000), default: 60,
        help: "The largest aspect ratio of an image: the longer side divided by the shorter.")
    static let cache = Option(
        "cache-size", .bytes(in: 0...(1 << 40)), default: 0,
        help: "Memory for a cache of answers, reused for the same image. Identical images in progress are then "
            + "computed once. 0 turns the cache off.")
    static let deadline = Option(
        "default-deadline", .duration(in: .milliseconds(1) ... .seconds(86_400)), default: .seconds(60),
        help: "The deadline of a request without X-Request-Timeout.")
    static let batching = Option(
        "batching", .choice("MODE", of: BatchingMode.self), default: .step,
        help: "When images join a batch: at every step, or only after the current batch has ended.")
    static let drainDelay = Option(
        "drain-delay", .duration(in: .zero ... .seconds(3600)), default: .zero,
        help: "The time after SIGTERM in which the service reports not ready but accepts requests, so that load "
            + "balancers notice.")
    static let drainTimeout = Option(
        "drain-timeout", .duration(in: .zero ... .seconds(3600)), default: .seconds(30),
        help: "The time after --drain-delay in which requests in progress may finish.")

    static let accessLog = Option(
        "access-log", .choice("REQUESTS", of: AccessLog.self), default: .all,
        help: "Which requests are logged: all, those that failed (status 400 and above, or unanswered), or none. "
            + "Health checks and scrapes that succeed are logged at the level debug only.")
    static let logLevel = Option(
        "log-level", .choice("LEVEL", of: LogLevel.self), default: .info, help: "The least severe level to log.")
    static let logFormat = Option(
        "log-format", optional: .choice("FORMAT", of: LogFormat.self),
        help: "The format of the log. The default is text on a terminal and json otherwise.")

    static let all = [
        OptionGroup(
            "Network",
            [
                host, port, adminHost, adminPort, socketMode, adminSocketMode, connections, body, header,
                requestTimeout,
                idleTimeout, certificate, key, apiKeys, playground, adminToken,
            ]),
        OptionGroup("Model", [modelDirectory, ModelSource.option, resume]),
        OptionGroup(
            "Service",
            [
                batch, wait, waiting, decoders, images, pixels, aspect, cache, deadline, batching, drainDelay,
                drainTimeout,
            ]),
        OptionGroup("Computation", [BulkOptions.exactDecode]), Computation.options,
        OptionGroup("Logs", [accessLog, logLevel, logFormat]),
    ]

    /// The public listener.
    static func server(
        _ arguments: ParsedArguments, _ sockets: ActivatedSockets = ActivatedSockets()
    ) throws -> ServerConfiguration {
        var configuration = ServerConfiguration()
        try checkPorts(arguments, sockets)
        configuration.listen(
            at: ListenAddress(try arguments[host]), port: try arguments[port],
            permissions: try arguments[socketMode], inherited: sockets.public)
        configuration.maximumConnections = try arguments[connections]
        configuration.maximumHeaderBytes = try arguments[header]
        configuration.requestTimeout = try arguments[requestTimeout]
        configuration.idleTimeout = try arguments[idleTimeout]
        if let budget = MemoryBudget.now() {
            // What bodies take beyond a cgroup's limit would end the process; three quarters are left to the rest of it.
            configuration.maximumHeldBodyBytes = min(configuration.maximumHeldBodyBytes, budget.availableBytes / 4)
        }
        configuration.tls = try identity(arguments)
        return configuration
    }

    /// Two listeners can't share a port; the second one's error would blame another process.
    private static func checkPorts(_ arguments: ParsedArguments, _ sockets: ActivatedSockets) throws {
        guard sockets.public == nil, sockets.admin == nil else { return }
        let (own, other) = (ListenAddress(try arguments[host]), ListenAddress(try arguments[adminHost]))
        guard own.overlaps(other) else { return }
        if case .unix(let path) = own {
            throw UsageError(
                "both listeners would use the socket \(path)",
                at: "\(arguments.place(of: host)) and \(arguments.place(of: adminHost))", remedy: "give two paths")
        }
        let (ownPort, otherPort) = (try arguments[port], try arguments[adminPort])
        guard ownPort == otherPort, ownPort != 0 else { return }
        throw UsageError(
            "both listeners would use port \(ownPort)",
            at: "\(arguments.place(of: port)) and \(arguments.place(of: adminPort))", remedy: "give two ports")
    }

    /// The certificate and its key, read and checked; nil without TLS.
    static func identity(_ arguments: ParsedArguments) throws -> ServerConfiguration.TLSIdentity? {
        let (certificatePath, keyPath) = (try arguments[certificate], try arguments[key])
        let (certificatePlace, keyPlace) = (arguments.place(of: certificate), arguments.place(of: key))
        switch (certificatePath, keyPath) {
        case (nil, nil): return nil
        case (let certificatePath?, let keyPath?):
            let identity = ServerConfiguration.TLSIdentity(
                certificatePEM: try InputFile.text(certificatePath, at: certificatePlace),
                privateKeyPEM: try InputFile.text(keyPath, at: keyPlace))
            do throws(ServerError) {
                _ = try identity.expiry()
            } catch {
                throw CommandFailure(
                    status: .unusableData,
                    description: "\(certificatePlace) \(certificatePath), \(keyPlace) \(keyPath): \(error)")
            }
            return identity
        case (nil, _):
            throw UsageError("TLS needs its certificate", at: keyPlace, remedy: "give \(certificatePlace) as well")
        case (_, nil):
            throw UsageError("TLS needs its private key", at: certificatePlace, remedy: "give \(keyPlace) as well")
        }
    }

    /// What the public routes grant.
    static func publicAPI(
        _ arguments: ParsedArguments, _ build: BuildInformation
    ) throws -> PublicAPIConfiguration {
        var configuration = PublicAPIConfiguration(build: build)
        configuration.maximumImages = try arguments[images]
        configuration.maximumBodyBytes = try arguments[body]
        configuration.defaultTimeout = try arguments[deadline]
        configuration.maximumTimeout = max(try arguments[deadline], configuration.maximumTimeout)
        configuration.apiKeys = try publicKeys(arguments)
        configuration.hasPlayground = try arguments[playground]
        configuration.accessLog = try arguments[accessLog]
        return configuration
    }

    /// What the admin routes grant.
    static func adminAPI(_ arguments: ParsedArguments, _ build: BuildInformation) throws -> AdminAPIConfiguration {
        var configuration = AdminAPIConfiguration(build: build)
        configuration.token = try token(arguments)
        configuration.accessLog = try arguments[accessLog]
        return configuration
    }

    /// The admin listener.
    static func adminServer(
        _ arguments: ParsedArguments, _ sockets: ActivatedSockets = ActivatedSockets()
    ) throws -> ServerConfiguration {
        var configuration = ServerConfiguration()
        let address = ListenAddress(try arguments[adminHost])
        let isLocal = sockets.admin.map { ServerAddress(ofSocket: $0)?.isLocal ?? false } ?? address.isLocal
        guard try arguments[adminToken] != nil || isLocal else {
            throw UsageError(
                "the admin listener would be open to every user",
                at: sockets.admin == nil ? arguments.place(of: adminHost) : "the socket \(ActivatedSockets.adminName)",
                remedy: "give --admin-token-file, or listen on 127.0.0.1")
        }
        configuration.listen(
            at: address, port: try arguments[adminPort], permissions: try arguments[adminSocketMode],
            inherited: sockets.admin)
        configuration.threads = 1
        configuration.maximumConnections = 64
        return configuration
    }

    /// Which of both goes first at the start, the checkpoint activated last or the configured model.
    static func preference(_ arguments: ParsedArguments) throws -> StartingCheckpoint.Preference {
        guard let resumes = try arguments[resume] else { return .latest }
        guard try !resumes || arguments[modelDirectory] != nil else {
            throw UsageError(
                "a checkpoint can only come from a model directory", at: arguments.place(of: resume),
                remedy: "give --model-directory as well")
        }
        return resumes ? .resume : .configured
    }

    /// The feature service.
    static func service(_ arguments: ParsedArguments) throws -> FeatureServiceConfiguration {
        var configuration = FeatureServiceConfiguration()
        configuration.batchLimit = try arguments[batch]
        configuration.queueLimit = try arguments[waiting]
        configuration.waitLimit = try arguments[wait]
        configuration.decoders = try arguments[decoders]
        configuration.batching = try arguments[batching]
        configuration.cacheBytes = try arguments[cache]
        configuration.decoding = try arguments[BulkOptions.exactDecode] ? .exact : .scaled
        configuration.imageLimits = ImageLimits(
            maximumPixels: try arguments[pixels], maximumAspectRatio: try arguments[aspect])
        return configuration
    }

    /// The API keys; nil if none are asked for.
    static func publicKeys(_ arguments: ParsedArguments) throws -> [String]? {
        try arguments[apiKeys].map { try keys($0, at: arguments.place(of: apiKeys)) }
    }

    /// The token of the admin listener; nil if none is asked for.
    static func token(_ arguments: ParsedArguments) throws -> String? {
        try arguments[adminToken].map { try token($0, at: arguments.place(of: adminToken)) }
    }

    /// The one key of a file; `place` is the flag or variable that names it.
    static func token(_ path: String, at place: String) throws -> String {
        let keys = try keys(path, at: place)
        guard keys.count == 1 else {
            throw CommandFailure(
                status: .unusableData,
                description:
                    "\(place): \(path): the file has \(keys.count) keys, but the admin listener has one "
                    + "token; leave one")
        }
        return keys[0]
    }

    /// The keys of a key file, empty lines and lines that begin with # left out; `place` is the flag or variable that names
    /// it.
    static func keys(_ path: String, at place: String) throws -> [String] {
        let keys = lines(of: try InputFile.text(path, at: place)).filter { !$0.isEmpty && !$0.hasPrefix("#") }
        guard !keys.isEmpty else {
            throw CommandFailure(
                status: .unusableData,
                description: "\(place): \(path): the file has no key; write one a line, such as "
                    + "`openssl rand -hex 32` makes")
        }
        return keys
    }

    /// Whether keys can be found by trying, one of them at least.
    static func areGuessable(_ keys: [String]) -> Bool { keys.contains { $0.utf8.count < 16 } }
}

extension ServerConfiguration {
    /// Listens there, or on a socket that was passed to the process.
    fileprivate mutating func listen(at address: ListenAddress, port: UInt16, permissions: Int, inherited: Int32?) {
        self.port = port
        switch address {
        case .all: host = "*"
        case .host(let name): host = name
        case .unix(let path): unixSocket = UnixSocket(path: path, permissions: UInt32(permissions))
        }
        inheritedSocket = inherited
    }
}
