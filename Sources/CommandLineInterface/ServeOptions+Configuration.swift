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

/// What the options come to.
extension ServeOptions {
    static func server(
        _ arguments: ParsedArguments, _ sockets: ActivatedSockets = ActivatedSockets()
    ) throws -> ServerConfiguration {
        var configuration = ServerConfiguration()
        try checkPorts(arguments, sockets)
        configuration.address = ListenAddress(try arguments[host])
        configuration.port = try arguments[port]
        configuration.socketPermissions = UInt32(try arguments[socketMode])
        configuration.inheritedSocket = sockets.public
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
                    .unusableData, "\(certificatePlace) \(certificatePath), \(keyPlace) \(keyPath): \(error)")
            }
            return identity
        case (nil, _):
            throw UsageError("TLS needs its certificate", at: keyPlace, remedy: "give \(certificatePlace) as well")
        case (_, nil):
            throw UsageError("TLS needs its private key", at: certificatePlace, remedy: "give \(keyPlace) as well")
        }
    }

    static func publicAPI(_ arguments: ParsedArguments, _ build: BuildInformation) throws -> PublicAPIConfiguration {
        var configuration = PublicAPIConfiguration(build: build)
        configuration.maximumImages = try arguments[images]
        configuration.maximumSamples = try arguments[samples]
        configuration.hasGeneration = try arguments[generation]
        configuration.maximumBodyBytes = try arguments[body]
        configuration.defaultTimeout = try arguments[deadline]
        configuration.maximumTimeout = max(try arguments[deadline], configuration.maximumTimeout)
        configuration.apiKeys = try publicKeys(arguments)
        configuration.hasPlayground = try arguments[playground]
        configuration.accessLog = try arguments[accessLog]
        configuration.modelAliases = try arguments[aliases]
        configuration.pages = try pages(arguments)
        return configuration
    }

    /// Which pages on other origins may use the public listener; nil if none may.
    private static func pages(_ arguments: ParsedArguments) throws -> CrossOriginPolicy? {
        let given = try arguments[crossOrigins]
        guard !given.isEmpty else { return nil }
        if given.contains("*") {
            try arguments.require(
                given.count == 1, of: crossOrigins, "* allows every origin already", remedy: "leave the others out")
            try arguments.require(
                arguments[apiKeys] == nil, of: crossOrigins,
                "* would let every page on the web try keys from its visitors' browsers",
                remedy: "give the origins of your pages, or leave \(arguments.place(of: apiKeys)) out")
            return .everyPage
        }
        let place = arguments.place(of: crossOrigins)
        return .pages(of: Set(try given.map { try origin($0, at: place) }))
    }

    private static func origin(_ text: String, at place: String) throws -> WebOrigin {
        do throws(WebOriginError) {
            return try WebOrigin(text)
        } catch {
            throw UsageError("\(UsageError.quoted(text)): \(error.problem)", at: place, remedy: error.remedy)
        }
    }

    static func adminAPI(_ arguments: ParsedArguments, _ build: BuildInformation) throws -> AdminAPIConfiguration {
        var configuration = AdminAPIConfiguration(build: build)
        configuration.token = try token(arguments)
        configuration.accessLog = try arguments[accessLog]
        return configuration
    }

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
        configuration.address = address
        configuration.port = try arguments[adminPort]
        configuration.socketPermissions = UInt32(try arguments[adminSocketMode])
        configuration.inheritedSocket = sockets.admin
        configuration.threads = 1
        configuration.maximumConnections = 64
        return configuration
    }

    /// Which of both goes first at the start, the checkpoint activated last or the configured model.
    static func preference(_ arguments: ParsedArguments) throws -> StartingCheckpoint.Preference {
        guard let resumes = try arguments[resume] else { return .latest }
        try arguments.require(
            !resumes || arguments[modelDirectory] != nil, of: resume,
            "a checkpoint can only come from a model directory",
            remedy: "give --model-directory as well")
        return resumes ? .resume : .configured
    }

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
            maximumPixels: try arguments[pixels], maximumAspectRatio: try arguments[aspect],
            formats: try DataOptions.formats(arguments, formats))
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
                .unusableData,
                "\(place): \(path): the file has \(keys.count) keys, but the admin listener has one token; leave one")
        }
        return keys[0]
    }

    /// The keys of a key file, empty lines and lines that begin with # left out; `place` is the flag or variable that names
    /// it.
    static func keys(_ path: String, at place: String) throws -> [String] {
        let keys = InputFile.lines(of: try InputFile.text(path, at: place)).filter { !$0.isEmpty && !$0.hasPrefix("#") }
        guard !keys.isEmpty else {
            throw CommandFailure(
                .unusableData,
                "\(place): \(path): the file has no key; write one a line, such as `openssl rand -hex 32` makes")
        }
        return keys
    }

    /// Whether keys can be found by trying, one of them at least.
    static func areGuessable(_ keys: [String]) -> Bool { keys.contains { $0.utf8.count < 16 } }
}
