import CheckpointFormats
private import Dispatch
import FoundationEssentials
import Machine
private import Synchronization

/// The checkpoint that the program's configuration names.
package enum ConfiguredCheckpoint: Sendable {
    /// A file, anywhere.
    case file(path: String)
    /// The one compiled into the program.
    case builtIn(SafetensorsFile)

    var source: CheckpointSource {
        switch self {
        case .file(let path): .configured(path: path)
        case .builtIn: .builtIn
        }
    }

    /// The digest; nil if the file can't be read. Reads the whole file.
    var sha256: String? {
        switch self {
        case .file(let path): try? SafetensorsFile(path: path, access: .onDemand).sha256.description
        case .builtIn(let file): try? file.sha256.description
        }
    }

    var isFile: Bool { if case .file = self { true } else { false } }
}

/// Changes the model of a running service: load, warm up, test, record, switch. If a step fails, the
/// model that served before keeps serving.
///
/// **Memory.** The previous model is kept in memory next to the active one, so a rollback needs no file. Nightly jobs often
/// overwrite theirs in place. During a load, three models are in memory.
package actor CheckpointManager {
    /// What a load that was begun will end with.
    package typealias Completion = Task<Result<CheckpointOutcome, CheckpointFailure>, Never>

    package struct Parts: Sendable {
        package var service: FeatureService
        package var loader: ModelLoader
        /// Throws for a model that must not serve; runs on a Dispatch thread.
        package var selfTest: @Sendable (ServedModel) throws -> Void
        /// What is served before anything else is asked for.
        package var configured: ConfiguredCheckpoint
        /// Where further checkpoints are; nil if there are to be none.
        package var directory: ModelDirectory?
        /// Which of both goes first at the start, where a checkpoint was activated before.
        package var preference = StartingCheckpoint.Preference.latest
        package var began: @Sendable (CheckpointAttempt) -> Void = { _ in }
        package var ended: @Sendable (CheckpointReport) -> Void = { _ in }
        /// The time of day.
        package var clock: @Sendable () -> Date = { Date.now }

        /// The parts that have no default; the others may be set afterwards.
        package init(
            service: FeatureService, loader: ModelLoader, selfTest: @escaping @Sendable (ServedModel) throws -> Void,
            configured: ConfiguredCheckpoint, directory: ModelDirectory?
        ) {
            self.service = service
            self.loader = loader
            self.selfTest = selfTest
            self.configured = configured
            self.directory = directory
        }
    }

    /// A model in memory, and what `current` says while it serves.
    private struct Held {
        let served: ServedModel
        let source: CheckpointSource
        let marker: ModelDirectory.Marker?
        let since: Date
    }

    /// A load: how to get the model, and what to record of it.
    private struct Job: Sendable {
        let attempt: CheckpointAttempt
        var source: CheckpointSource { attempt.source }
        let load: @Sendable () throws -> ServedModel
        /// Puts the checkpoint in its place on the disk, and tells what is to be recorded.
        let place: @Sendable (ServedModel) throws -> ModelDirectory.Marker?
        let abandon: @Sendable () -> Void
        /// Whether it is what a restart is to begin with.
        var isRecorded = true
        /// Whether it is the configured model.
        var isConfigured = false
    }

    private let parts: Parts
    private let thread = DispatchQueue(label: "headwater.checkpoints", qos: .utility)
    private var active: Held?
    private var previous: Held?
    private var loading: CheckpointStatus.Loading?
    private var lastError: CheckpointFailure?
    /// The digest of the configured model when it was last read. Each activation records it.
    private var configuredDigest: String?
    /// Whether the model to start with serves. Until then, nothing else is loaded: the start's own load must not be refused as busy.
    private var hasStarted = false
    /// Whether a load is in progress, or the first one hasn't ended, for callers that can't await this actor, such as a listener
    /// about to accept an upload.
    private nonisolated let isBusy = Atomic<Bool>(true)

    /// Makes a manager, which does nothing until it is started.
    package init(_ parts: Parts) { self.parts = parts }

    package nonisolated var isLoading: Bool { isBusy.load(ordering: .relaxed) }

    package nonisolated var directory: ModelDirectory? { parts.directory }

    package var status: CheckpointStatus {
        CheckpointStatus(
            active: active.map(record), previous: previous.map(record), loading: loading, lastError: lastError)
    }

    private func record(_ held: Held) -> CheckpointRecord {
        CheckpointRecord(
            version: held.served.version, source: held.source, byteCount: held.served.byteCount, since: held.since,
            images: parts.service.tally.statistics(of: held.served.version).images)
    }

    // MARK: What may be asked for

    /// Loads the checkpoint that was activated last or the configured one, as `Parts.preference` says, and removes what a
    /// killed service left behind.
    ///
    /// By default the later decision counts. A restart goes on with the checkpoint that was activated at run time, until a
    /// rollback or a `reset(for:)` returns to the configured model, or another model is configured, under another path or the
    /// same. No start changes the record of the activation.
    ///
    /// - Returns: what was chosen, and what was passed over.
    /// - Throws: `CheckpointFailure`, `ModelLoadingError` or `CheckpointRefusal`. It throws if the checkpoint to resume is gone,
    ///   or if its digest differs from the recorded one. Uploads, rollbacks and loads with a digest record it. Serving another
    ///   model instead would be worse than not starting.
    @discardableResult
    package func start() async throws -> StartReport {
        let report = try await loadFirst()
        hasStarted = true
        return report
    }

    private func loadFirst() async throws -> StartReport {
        parts.directory?.removeLeftovers()
        let (directory, configured) = (parts.directory, parts.configured)
        guard let directory, let marker = try directory.marker() else {
            return try await startConfigured(.init(marker: nil, configured: nil, parts), report: nil)
        }
        let (digest, activated) = try await onThread {
            (configured.sha256, marker.sha256 ?? directory.sha256(of: marker.path))
        }
        // A file that can't be read now may be there again at a reload.
        configuredDigest = digest ?? marker.configured
        let choice = StartingCheckpoint(marker: marker, configured: digest, parts)
        let report = StartReport(
            choice: choice, activated: (marker.path, activated), configured: (configured.source.description, digest))
        guard choice.resumes else { return try await startConfigured(choice, report: report) }
        var resumption = job(.start, for: try directory.resolve(marker.path).real, marker: marker, client: nil)
        // Starting decides nothing.
        resumption.isRecorded = false
        _ = try await begin(resumption).value.get()
        return report
    }

    private func startConfigured(_ choice: StartingCheckpoint, report: StartReport?) async throws -> StartReport {
        var job = configuredJob(.start, client: nil)
        // The checkpoint activated last can still be resumed.
        job.isRecorded = false
        _ = try await begin(job).value.get()
        let configured = (parts.configured.source.description, active?.served.version.sha256)
        return report ?? StartReport(choice: choice, activated: nil, configured: configured)
    }

    /// Begins to load a file of the model directory.
    ///
    /// - Parameters:
    ///   - path: relative to the directory, or absolute and in it.
    ///   - sha256: the digest that the file must have, also at a restart.
    ///   - client: who asks for it.
    package func load(
        path: String, sha256: String?, for client: CheckpointAttempt.Client? = nil
    ) throws(CheckpointRefusal) -> Completion {
        guard let directory = parts.directory else { throw .noDirectory }
        let digest = try Self.checked(sha256)
        let file = try directory.resolve(path)
        let marker = ModelDirectory.Marker(path: file.relative, sha256: digest)
        return try begin(job(.load, for: file.real, marker: marker, client: client))
    }

    /// Begins to load a file that has been written to the model directory's `uploadDirectory`, and takes it over.
    package func load(
        upload: String, sha256: String?, for client: CheckpointAttempt.Client? = nil
    ) throws(CheckpointRefusal) -> Completion {
        guard let directory = parts.directory else { throw .noDirectory }
        let digest = try Self.checked(sha256)
        // Before the file is taken over: it stays the sender's if another load is under way.
        guard loading == nil, hasStarted else { throw .busy }
        let staged = try directory.stage(upload)
        let loader = parts.loader
        return try begin(
            Job(
                attempt: CheckpointAttempt(action: .upload, source: .upload, client: client),
                load: { try loader.load(path: staged, sha256: digest) },
                place: { served in
                    let sha256 = served.version.sha256
                    return ModelDirectory.Marker(
                        path: try directory.keep(staged: staged, sha256: sha256), sha256: sha256)
                }, abandon: { directory.drop(staged: staged) }))
    }

    /// Begins to load the configured checkpoint if its file has other bytes than when it was last read. Like a start, it lets the
    /// later decision count: a checkpoint that was activated since serves on if the file is the same.
    ///
    /// - Returns: nil if the configured checkpoint is the same.
    package func reload() async throws(CheckpointRefusal) -> Completion? {
        let configured = parts.configured
        guard configured.isFile else { return nil }
        let digest = try? await onThread { configured.sha256 }
        // A file that can't be read is a failure, which loading it reports.
        if let digest, digest == configuredDigest { return nil }
        return try begin(configuredJob(.reload, client: nil))
    }

    /// Begins to return to the configured checkpoint, which is also what a restart will begin with from then on.
    package func reset(for client: CheckpointAttempt.Client? = nil) throws(CheckpointRefusal) -> Completion {
        try begin(configuredJob(.reset, client: client))
    }

    /// Begins to return to the model that served before; what serves now can be returned to in the same way.
    package func rollback(for client: CheckpointAttempt.Client? = nil) throws(CheckpointRefusal) -> Completion {
        guard let previous else { throw .noPrevious }
        return try begin(
            Job(
                attempt: CheckpointAttempt(action: .rollback, source: previous.source, client: client),
                load: { [served = previous.served] in served },
                // The file may have been replaced meanwhile, perhaps by what is now rolled back from.
                place: { [marker = previous.marker] served in
                    marker.map { ModelDirectory.Marker(path: $0.path, sha256: served.version.sha256) }
                }, abandon: {}))
    }

    private static func checked(_ sha256: String?) throws(CheckpointRefusal) -> String? {
        guard let sha256 else { return nil }
        guard sha256.utf8.count == 64, sha256.allSatisfy({ $0.isASCII && $0.isHexDigit }) else {
            throw .malformedDigest
        }
        return sha256.lowercased()
    }

    private func job(
        _ action: CheckpointAttempt.Action, for path: String, marker: ModelDirectory.Marker,
        client: CheckpointAttempt.Client?
    ) -> Job {
        let loader = parts.loader
        let isUpload = parts.directory.map { path.hasPrefix($0.uploadDirectory + "/") } ?? false
        let source: CheckpointSource = isUpload ? .upload : .directory(path: marker.path)
        return Job(
            attempt: CheckpointAttempt(action: action, source: source, client: client),
            load: { try loader.load(path: path, sha256: marker.sha256) }, place: { _ in marker }, abandon: {})
    }

    private func configuredJob(_ action: CheckpointAttempt.Action, client: CheckpointAttempt.Client?) -> Job {
        let (loader, configured) = (parts.loader, parts.configured)
        return Job(
            attempt: CheckpointAttempt(action: action, source: configured.source, client: client),
            load: {
                switch configured {
                case .file(let path): try loader.load(path: path)
                case .builtIn(let file): try loader.load(file)
                }
            }, place: { _ in nil }, abandon: {}, isConfigured: true)
    }

    // MARK: Loading

    private func begin(_ job: Job) throws(CheckpointRefusal) -> Completion {
        guard loading == nil, hasStarted || job.attempt.action == .start else { throw .busy }
        isBusy.store(true, ordering: .relaxed)
        loading = CheckpointStatus.Loading(source: job.source, phase: .loading, since: parts.clock())
        parts.began(job.attempt)
        return Task { await self.perform(job) }
    }

    private func reason(_ error: any Error) -> String { parts.directory?.reason(error) ?? "\(error)" }

    private func perform(_ job: Job) async -> Result<CheckpointOutcome, CheckpointFailure> {
        var loaded: ServedModel?
        let before = active?.served.version
        let result: Result<CheckpointOutcome, CheckpointFailure>
        do {
            let served = try await onThread { try job.load() }
            loaded = served
            result = .success(try await install(served, job))
            lastError = nil
        } catch {
            job.abandon()
            forgetOtherUploads()
            if let loaded { await parts.service.discard(loaded) }
            let failure = CheckpointFailure(
                source: job.source, phase: loading?.phase ?? .loading, reason: reason(error),
                cause: CheckpointFailure.Cause(of: error), time: parts.clock())
            lastError = failure
            result = .failure(failure)
        }
        // What reading the file took.
        ProcessMemory.scheduleTrim()
        loading = nil
        isBusy.store(false, ordering: .relaxed)
        parts.ended(CheckpointReport(attempt: job.attempt, result: result, version: loaded?.version, previous: before))
        return result
    }

    /// Takes a loaded model through the remaining steps.
    private func install(_ served: ServedModel, _ job: Job) async throws -> CheckpointOutcome {
        loading?.phase = .warmingUp
        guard try await parts.service.warmUp(served) else {
            throw ModelLoadingError(description: "the first evaluation gives numbers that are not finite")
        }
        loading?.phase = .selfTesting
        try await onThread { [selfTest = parts.selfTest] in try selfTest(served) }
        loading?.phase = .activating
        // Recorded before the switch: a service killed in between restarts with the new model, which has passed every check. In
        // the other order, it could restart with the old model after the new one had served requests.
        let digest = job.isConfigured ? served.version.sha256 : configuredDigest
        let marker = try await onThread { [directory = parts.directory] in
            var marker = try job.place(served)
            marker?.configured = digest
            if job.isRecorded { try directory?.setMarker(marker) }
            return marker
        }
        configuredDigest = digest
        let held = Held(served: served, source: job.source, marker: marker, since: parts.clock())
        if let active, active.served !== served, active.served.version == served.version {
            self.active = Held(served: active.served, source: job.source, marker: marker, since: active.since)
            await parts.service.discard(served)
            return .unchanged
        }
        await parts.service.activate(served)
        previous = active
        active = held
        forgetOthers()
        return .activated
    }

    private func forgetOthers() {
        let held = [active, previous].compactMap { $0 }
        parts.service.tally.keep(only: held.map(\.served.version))
        forgetOtherUploads()
    }

    /// Removes every upload except the active one, the previous one and the one to start with. This also frees the space of an
    /// upload that got its name but couldn't be recorded because the disk was full.
    private func forgetOtherUploads() {
        guard let directory = parts.directory else { return }
        let held = [active, previous].compactMap { $0?.marker?.path }
        do {
            directory.removeUploads(except: held + [try directory.marker()?.path].compactMap { $0 })
        } catch {
            // What can't be read may name any of them.
        }
    }

    /// Runs work that may take seconds on a Dispatch thread of the manager's own.
    private func onThread<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            thread.async { continuation.resume(with: Result { try work() }) }
        }
    }
}

extension StartingCheckpoint {
    fileprivate init(marker: ModelDirectory.Marker?, configured: String?, _ parts: CheckpointManager.Parts) {
        self.init(
            isActivated: marker != nil, activatedOver: marker?.configured, configured: configured,
            isExplicit: parts.configured.isFile, preference: parts.preference)
    }
}
