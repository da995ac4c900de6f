public import ImagePipeline
import ReverseODE
public import Tensor

/// How the service is run.
public struct FeatureServiceConfiguration: Sendable {
    /// Most images in a step.
    public var batchLimit = 8
    /// Most images waiting, those being decoded included; more are refused.
    public var queueLimit = 256
    /// How images form batches.
    public var batching = BatchingMode.step
    /// Images decoded at a time.
    public var decoders = 2
    /// What images may be.
    public var imageLimits = ImageLimits()
    /// How long the engine may have work without progress before it counts as stuck.
    public var stuckAfter: Duration = .seconds(60)

    /// The defaults, which the README's figures were measured with.
    public init() {}
}

/// Answers requests for embeddings and logits: admission, step-level batching, hot swap, drain.
///
/// An image is admitted as a `Trajectory`. At every ODE step the images in flight and those that have just been
/// admitted are evaluated together, each at its own time, so that a new image never waits for the passes under way to
/// end. Who is in a batch is decided by `BatchPlanner`, a pure value; this actor carries the decisions out, and the
/// engine, on a thread of its own, the arithmetic.
public actor FeatureService {
    let configuration: FeatureServiceConfiguration
    private let engine: Engine
    private let decoders: DecodePool
    private let events: ServiceEvents
    private let clock: @Sendable () -> ContinuousClock.Instant

    private var planner: BatchPlanner<ContinuousClock.Instant, ObjectIdentifier>
    private var jobs: [ImageID: Job] = [:]
    private var requests: [RequestID: PendingRequest] = [:]
    private var models: [ObjectIdentifier: ServedModel] = [:]
    private var nextRequest: UInt64 = 0
    private var rate = CompletionRate()
    private var reserved = 0
    private var isRunning = false
    private var isDraining = false
    private var isRetiring = false
    private var lastProgress: ContinuousClock.Instant
    private var idle: [CheckedContinuation<Void, Never>] = []

    /// The model that new requests are served by; nil until the first is activated.
    public private(set) var active: ServedModel?

    private typealias RequestID = UInt64

    /// An image admitted.
    private struct Job {
        let request: RequestID
        let position: Int
        var trajectory: Trajectory
        let admitted: ContinuousClock.Instant
        var started: ContinuousClock.Instant?
        var isOut = false
    }

    /// A request that waits for its images.
    private struct PendingRequest {
        let served: ServedModel
        var results: [Result<ImageFeatures, ImageFailure>?]
        var unfinished: Set<ImageID>
        var timings: FeatureTimings
        var continuation: CheckedContinuation<Result<FeatureResponse, FeatureServiceError>, Never>?
    }

    /// Makes a service without a model.
    ///
    /// - Parameter clock: the time, which deadlines, waiting times and the detection of a stuck engine go by.
    public init(
        configuration: FeatureServiceConfiguration, kernels: Kernels, pool: WorkerPool, events: ServiceEvents,
        clock: @escaping @Sendable () -> ContinuousClock.Instant = { ContinuousClock.now }
    ) {
        self.clock = clock
        lastProgress = clock()
        self.configuration = configuration
        self.events = events
        engine = Engine(kernels: kernels, pool: pool, batchLimit: configuration.batchLimit)
        decoders = DecodePool(width: configuration.decoders)
        planner = BatchPlanner(batchLimit: configuration.batchLimit, mode: configuration.batching)
    }

    // MARK: Requests

    /// Computes the features of one or more images.
    ///
    /// - Parameters:
    ///   - inputs: the images; at least one.
    ///   - request: what is wanted of them.
    /// - Returns: an answer for each image; one that can't be read doesn't spoil the others.
    /// - Throws: `FeatureServiceError` if the request as a whole has no answer.
    public func features(
        of inputs: [FeatureInput], _ request: FeatureRequest
    ) async throws(FeatureServiceError) -> FeatureResponse {
        let served = try admit(inputs.count)
        let plan: RequestPlan
        do {
            plan = try RequestPlan(request, served: served)
        } catch {
            reserved -= inputs.count
            throw error
        }
        let start = clock()
        let decoded = await decode(inputs, served: served)
        // From here to the suspension in `await answer`, nothing else runs on this actor.
        reserved -= inputs.count
        if Task.isCancelled {
            events.abandoned()
            announceIfIdle()
            throw .cancelled
        }
        if let deadline = request.deadline, deadline <= clock() {
            events.expired()
            announceIfIdle()
            throw .deadlineExceeded
        }
        var timings = FeatureTimings()
        timings.decode = start.duration(to: clock()).seconds
        return try await answer(decoded, plan: plan, timings: timings).get()
    }

    /// Reserves room in the queue before any work is done for the images.
    private func admit(_ count: Int) throws(FeatureServiceError) -> ServedModel {
        guard !isDraining else { throw .draining }
        guard let active else { throw .starting }
        let waiting = planner.waiting.count + reserved
        guard waiting + count <= configuration.queueLimit else {
            events.rejected()
            throw .overloaded(retryAfter: rate.retryAfter(waiting: waiting))
        }
        reserved += count
        return active
    }

    private func decode(
        _ inputs: [FeatureInput], served: ServedModel
    ) async -> [Result<[Float], ImageFailure>] {
        let limits = configuration.imageLimits
        let decoders = self.decoders
        return await withTaskGroup(of: (Int, Result<[Float], ImageFailure>).self) { group in
            for (index, input) in inputs.enumerated() {
                group.addTask {
                    switch input {
                    case .encoded(let bytes):
                        let result = await decoders.input(
                            for: bytes, preprocessing: served.preprocessing, limits: limits)
                        return (index, result.mapError { .image($0) })
                    case .normalized(let values):
                        let expected = served.model.stateCount
                        guard values.count == expected else {
                            return (index, .failure(.inputCount(found: values.count, expected: expected)))
                        }
                        return (index, .success(values))
                    }
                }
            }
            var results = [Result<[Float], ImageFailure>](repeating: .success([]), count: inputs.count)
            for await (index, result) in group { results[index] = result }
            return results
        }
    }

    /// Queues what has been decoded and waits for the results.
    private func answer(
        _ decoded: [Result<[Float], ImageFailure>], plan: RequestPlan, timings: FeatureTimings
    ) async -> Result<FeatureResponse, FeatureServiceError> {
        let id = nextRequest
        nextRequest += 1
        enqueue(decoded, plan: plan, timings: timings, as: id)
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                requests[id]?.continuation = continuation
                respondIfComplete(id)
                startEngine()
            }
        } onCancel: {
            Task { await self.cancel(id, because: .cancelled) }
        }
    }

    private func enqueue(
        _ decoded: [Result<[Float], ImageFailure>], plan: RequestPlan, timings: FeatureTimings, as id: RequestID
    ) {
        let served = plan.served
        let now = clock()
        var pending = PendingRequest(
            served: served, results: decoded.map { _ in nil }, unfinished: [], timings: timings, continuation: nil)
        models[ObjectIdentifier(served)] = served
        for (position, result) in decoded.enumerated() {
            switch result {
            case .failure(let failure): pending.results[position] = .failure(failure)
            case .success(let input):
                let image = planner.enqueue(model: ObjectIdentifier(served), now: now, deadline: plan.deadline)
                jobs[image] = Job(
                    request: id, position: position, trajectory: plan.trajectory(input, kernels: engine.kernels),
                    admitted: now)
                pending.unfinished.insert(image)
            }
        }
        requests[id] = pending
    }

    /// Ends a request early: its images leave the queue and the batch.
    private func cancel(_ id: RequestID, because error: FeatureServiceError) {
        guard let pending = requests.removeValue(forKey: id) else { return }
        if error == .deadlineExceeded { events.expired() } else { events.abandoned() }
        planner.remove(pending.unfinished)
        for image in pending.unfinished { jobs[image] = nil }
        pending.continuation?.resume(returning: .failure(error))
        retireUnusedModels()
        announceIfIdle()
    }

    private func respondIfComplete(_ id: RequestID) {
        guard let pending = requests[id], pending.unfinished.isEmpty, let continuation = pending.continuation else {
            return
        }
        requests[id] = nil
        continuation.resume(
            returning: .success(
                FeatureResponse(
                    served: pending.served, results: pending.results.compactMap { $0 }, timings: pending.timings)))
    }

    // MARK: The engine loop

    private func startEngine() {
        guard !isRunning, !planner.isEmpty else { return }
        isRunning = true
        lastProgress = clock()
        Task { await runEngine() }
    }

    /// Steps batch after batch until there is no work.
    private func runEngine() async {
        while true {
            expire()
            guard let batch = planner.next(), let served = models[batch.model] else { break }
            let start = clock()
            for image in batch.joined { begin(image, at: start) }
            let trajectories = batch.images.compactMap { jobs[$0]?.trajectory }
            let passBefore = remaining(trajectories, served)
            let advanced = await engine.step(trajectories, of: served)
            let seconds = start.duration(to: clock()).seconds
            lastProgress = clock()
            events.stepped(batch.images.count, seconds)
            let share =
                Double(passBefore - remaining(advanced, served)) / Double(max(1, served.model.evaluationsPerPass))
            rate.record(passes: share, seconds: seconds)
            settle(batch.images, advanced, served: served)
        }
        isRunning = false
        ProcessMemory.giveBackSoon()
        retireUnusedModels()
        announceIfIdle()
    }

    private func remaining(_ trajectories: [Trajectory], _ served: ServedModel) -> Int {
        trajectories.reduce(0) { $0 + $1.remainingEvaluations(model: served.model) }
    }

    private func begin(_ image: ImageID, at now: ContinuousClock.Instant) {
        guard var job = jobs[image] else { return }
        job.started = now
        jobs[image] = job
        let wait = job.admitted.duration(to: now).seconds
        if let pending = requests[job.request], wait > pending.timings.queue {
            requests[job.request]!.timings.queue = wait
        }
    }

    /// Takes back what a step advanced. Images cancelled meanwhile are no longer among the jobs.
    private func settle(_ images: [ImageID], _ advanced: [Trajectory], served: ServedModel) {
        var finished: Set<ImageID> = []
        for (image, trajectory) in zip(images, advanced) where jobs[image] != nil {
            if !trajectory.isFinite {
                events.notFinite()
                finish(image, with: .failure(.notFinite))
                finished.insert(image)
            } else if trajectory.isFinished {
                events.completed()
                finish(
                    image,
                    with: .success(
                        ImageFeatures(
                            taps: trajectory.taps, values: trajectory.features, logits: trajectory.logits)))
                finished.insert(image)
            } else {
                jobs[image]!.trajectory = trajectory
            }
        }
        planner.remove(finished)
    }

    private func finish(_ image: ImageID, with result: Result<ImageFeatures, ImageFailure>) {
        guard let job = jobs.removeValue(forKey: image), var pending = requests[job.request] else { return }
        pending.results[job.position] = result
        pending.unfinished.remove(image)
        if let started = job.started {
            pending.timings.inference = max(pending.timings.inference, started.duration(to: clock()).seconds)
        }
        requests[job.request] = pending
        respondIfComplete(job.request)
    }

    private func expire() {
        let late = Set(planner.expired(at: clock()).compactMap { jobs[$0]?.request })
        for request in late { cancel(request, because: .deadlineExceeded) }
    }

    // MARK: Models

    /// Allocates a model's memory beside the active one's and steps a full batch once.
    ///
    /// - Returns: whether the step's result was finite.
    /// - Throws: `TapError` if the model's grid is not what it says.
    public func warmUp(_ served: ServedModel) async throws -> Bool { try await engine.warmUp(served).isFinite }

    /// Lets new requests be served by `served`. Images in flight finish on the model they started with.
    ///
    /// - Returns: the model served until now.
    @discardableResult
    public func activate(_ served: ServedModel) -> ServedModel? {
        let old = active
        active = served
        models[ObjectIdentifier(served)] = served
        retireUnusedModels()
        return old
    }

    /// Frees what a model that was warmed up but not activated holds.
    public func discard(_ served: ServedModel) async {
        guard served !== active else { return }
        await engine.release(served)
    }

    private func retireUnusedModels() {
        for (key, served) in models where served !== active && !planner.uses(key) {
            models[key] = nil
            Task { await engine.release(served) }
        }
    }

    // MARK: Life cycle

    /// How the service is.
    public func status() -> ServiceStatus {
        let waiting = planner.waiting.count + reserved
        let isStuck = isRunning && lastProgress.duration(to: clock()) > configuration.stuckAfter
        return ServiceStatus(
            isStarted: active != nil,
            isReady: active != nil && !isRetiring && !isDraining && waiting < configuration.queueLimit && !isStuck,
            isLive: !isStuck,
            isDraining: isDraining || isRetiring, waiting: waiting, inFlight: planner.inFlight.count)
    }

    /// Turns readiness off without refusing anything yet, so that a load balancer looks elsewhere.
    public func retireReadiness() { isRetiring = true }

    /// Refuses new requests; those in flight are finished.
    public func beginDraining() { isDraining = true }

    /// Returns when no image is waiting, being decoded or in flight.
    public func waitUntilIdle() async {
        guard !isIdle else { return }
        await withCheckedContinuation { idle.append($0) }
    }

    private var isIdle: Bool { planner.isEmpty && reserved == 0 && requests.isEmpty && !isRunning }

    private func announceIfIdle() {
        guard isIdle else { return }
        for continuation in idle { continuation.resume() }
        idle = []
    }
}

/// A request's wishes, checked against the model that will serve it.
struct RequestPlan: Sendable {
    let served: ServedModel
    let taps: [ResolvedTap]
    let wantsLogits: Bool
    let deadline: ContinuousClock.Instant?

    init(_ request: FeatureRequest, served: ServedModel) throws(FeatureServiceError) {
        guard !request.wantsLogits || served.model.head != nil else { throw .noHead }
        self.served = served
        wantsLogits = request.wantsLogits
        deadline = request.deadline
        do throws(TapError) {
            var resolved: [ResolvedTap] = []
            if let taps = request.taps {
                for tap in taps { resolved.append(try served.model.resolve(tap)) }
            } else if let times = request.defaultPlaceTimes {
                let place = try served.model.defaultTap().place
                for time in times { resolved.append(try served.model.resolve(Tap(time: time, place: place))) }
            } else if !request.wantsLogits {
                resolved = [try served.model.defaultTap()]
            }
            taps = resolved
        } catch {
            throw .tap(error)
        }
    }

    func trajectory(_ input: [Float], kernels: Kernels) -> Trajectory {
        Trajectory(input: input, taps: taps, wantsLogits: wantsLogits, model: served.model, kernels: kernels)
    }
}

extension Duration {
    /// This duration in seconds.
    var seconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }
}
