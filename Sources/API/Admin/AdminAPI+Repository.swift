import FeatureService
import HTTPServer
import JSON
import UntrustedText

/// The model-repository extension of the Open Inference Protocol. It names the models of the model directory as their
/// configurations do, and as inference requests name them.
extension AdminAPI {
    /// `POST /v2/repository/index`.
    func index(_ command: Command) async throws(Problem) -> Response {
        let post = try RepositoryPost(command.request.bytes)
        let entries = await repository().filter { $0.isReady || !post.isReadyOnly }
        var json = JSONWriter()
        json.array(of: entries) { $1.write(&$0) }
        return Response(headers: ["Content-Type": "application/json"], body: json.bytes)
    }

    /// `POST /v2/repository/models/{model}/load`: loads the one file of the directory that holds a model of that name, and
    /// answers when it serves.
    func loadModel(_ command: Command) async throws(Problem) -> Response {
        let (post, name) = (try RepositoryPost(command.request.bytes), command.path["model"]!)
        guard post.overrides.isEmpty else {
            throw Problem(
                .invalidParameter, "load takes no parameters; the model file determines how the model is loaded")
        }
        guard checkpoints.directory != nil else { throw Problem(CheckpointRefusal.noDirectory) }
        let files = await catalogue().filter { $0.name == name }
        let paths = files.map(\.path)
        // A link and what it leads to are one.
        guard Set(files.map(\.realPath)).count < 2 else {
            throw Problem(
                .modelAmbiguous,
                "several files have a model of this name (\(paths.joined(separator: ", "))); "
                    + "load one by its path with POST /admin/checkpoint")
        }
        if let path = paths.first {
            let load = try await begun(.load, command.client) { () async throws(CheckpointRefusal) in
                try await checkpoints.load(path: path, sha256: nil, for: command.client)
            }
            try await finish(load)
        } else if await checkpoints.status.active?.version.name != name {
            throw Self.unknownModel
        }
        return .json { _ in }
    }

    /// `POST /v2/repository/models/{model}/unload`.
    func unloadModel(_ command: Command) async throws(Problem) -> Response {
        _ = try RepositoryPost(command.request.bytes)
        let name = command.path["model"]
        let known = await repository()
        guard !known.contains(where: { $0.name == name && $0.isReady }) else {
            throw Problem(.modelInUse, "this model is serving and can't be unloaded; load another model instead")
        }
        guard known.contains(where: { $0.name == name }) else { throw Self.unknownModel }
        return .json { _ in }
    }

    private static let unknownModel = Problem(
        .modelNotFound, "the model directory has no model of this name; POST /v2/repository/index lists its models")

    private func catalogue() async -> [CatalogueEntry] {
        guard let directory = checkpoints.directory else { return [] }
        return await readers.run { directory.catalogue() }
    }

    /// The model that serves and those that could be loaded.
    private func repository() async -> [RepositoryEntry] {
        let catalogue = await catalogue()
        let active = await checkpoints.status.active
        var entries = catalogue.map { file in
            let isActive = active?.source == .directory(path: file.realPath) && active?.version.name == file.name
            return RepositoryEntry(
                name: file.name ?? String(file.path.dropLast(".safetensors".count)),
                version: isActive ? active?.version.label : nil,
                reason: isActive ? "" : "\(printable(file.path)): \(file.fault ?? "not loaded")")
        }
        if let active, !entries.contains(where: \.isReady) {
            entries.insert(RepositoryEntry(name: active.version.name, version: active.version.label, reason: ""), at: 0)
        }
        return entries
    }
}

/// A model of the index.
struct RepositoryEntry: Equatable, Sendable {
    let name: String
    /// The version that serves; nil if none does.
    let version: String?
    /// Why it doesn't serve; empty if it does.
    let reason: String

    var isReady: Bool { version != nil }

    fileprivate func write(_ json: inout JSONWriter) {
        json.object { json in
            json.member("name", name)
            json.member("version", version ?? "")
            json.member("state", isReady ? "READY" : "UNAVAILABLE")
            json.member("reason", reason)
        }
    }
}

/// The body of a repository request: nothing, or JSON, in which null counts as absent.
struct RepositoryPost: Equatable {
    /// Whether the index lists only the models that serve.
    private(set) var isReadyOnly = false
    /// Parameters that would change a model as it is loaded.
    private(set) var overrides: [String] = []

    private enum Member: String, CaseIterable {
        case ready, parameters
    }

    /// - Throws: 400 with the place in the document.
    init(_ bytes: [UInt8]) throws(Problem) {
        guard !bytes.isEmpty else { return }
        try scanJSON(bytes[...]) { scanner in
            try scanner.object(of: "member") { (scanner, member: Member) in
                switch member {
                case .ready: isReadyOnly = try scanner.boolean()
                case .parameters:
                    try scanner.object { scanner, parameter in
                        // Models have no dependents here.
                        let changesModel = parameter != "unload_dependents" && scanner.nextCharacter != "n"
                        if changesModel { overrides.append(parameter) }
                        try scanner.skipValue(depth: 16)
                    }
                }
            }
        }
    }
}
