import Digests
import FoundationEssentials
import Machine
import ReverseODE
private import Synchronization
import Tensor

/// Answers requests for embeddings and logits: admission, step-level batching, hot swap, drain.
///
/// An image is admitted as a `Trajectory`. At every ODE step the images in flight and those that have just been
/// admitted are evaluated together, each at its own time, so that a new image never waits for the passes under way to
/// end. Who is in a batch is decided by `BatchPlanner`, a pure value; this actor carries the decisions out, and the
/// engine, on a thread of its own, the arithmetic.
package actor FeatureService {
    package nonisolated let configuration: FeatureServiceConfiguration
    package nonisolated let tally = ModelTally()
    private let engine: Engine
    private let decoders: BlockingPool
    private let events: ServiceEvents
    private let clock: @Sendable () -> ContinuousClock.Instant

    private var planner: BatchPlanner<ObjectIdentifier> { didSet { publishQueue() } }
    private var jobs: [ImageID: Job] = [:]
    private var work = SharedWork<AnswerKey, ContinuousClock.Instant>()
    private var cache: LeastRecentlyUsedCache<AnswerKey, ImageFeatures>
    private var requests: [RequestID: PendingRequest] = [:]
    /// The requests that are traced.
    private var traced: Set<RequestID> = []
    private var models: [ObjectIdentifier: ServedModel] = [:]
    private var nextRequest: UInt64 = 0
    private let policy: AdmissionPolicy
    private var backlog: Backlog { didSet { publishQueue() } }
    /// Images admitted of requests that have not been registered yet.
    private var reserved = 0 { didSet { publishQueue() } }
    private var decoding: [ImageID: DecodeTicket] = [:] { didSet { publishQueue() } }
    /// Why one more image would be refused, for a usual request and for the quickest one; nil while there is room. Callers that
    /// can't await the actor read it. It may be slightly out of date; the actor's own decision counts.
    private nonisolated let published = Mutex<(usual: AdmissionRefusal?, quickest: AdmissionRefusal?)>((nil, nil))
    private var isRunning = false
    private var isDraining = false
    private var isRetiring = false
    private var lastProgress: ContinuousClock.Instant

    /// The model that new requests are served by, and when it was activated; nil until the first is.
    package private(set) var serving: (model: ServedModel, since: Date)?
    /// The model that new requests are served by; nil until the first is activated.
    package var active: ServedModel? { serving?.model }

    private typealias RequestID = UInt64
    private typealias DecodedInput = (input: Result<[Float], ImageFailure>, seconds: Double)

    /// An admitted image. `work` knows which requests wait for it.
    private struct Job {
        let served: ServedModel
        /// Nil while the engine has it, so that the engine can change its buffers in place.
        var trajectory: Trajectory?
        let admitted: ContinuousClock.Instant
        var started: ContinuousClock.Instant?
    }

    /// Makes a service without a model.
    ///
    /// - Parameters:
    ///   - decoders: the pool that decodes images; nil makes one of the configured width.
    ///   - clock: the time, which deadlines, waiting times and the detection of a stuck engine go by.
    package init(
        configuration: FeatureServiceConfiguration, kernels: Kernels, pool: WorkerPool, events: ServiceEvents,
        decoders: BlockingPool? = nil,
        clock: @escaping @Sendable () -> ContinuousClock.Instant = { ContinuousClock.now }
    ) {
        self.clock = clock
        lastProgress = clock()
        self.configuration = configuration
        self.events = events
        engine = Engine(kernels: kernels, pool: pool, batchLimit: configuration.batchLimit)
        self.decoders = decoders ?? BlockingPool(width: configuration.decoders)
        policy = AdmissionPolicy(imageLimit: configuration.queueLimit, waitLimit: configuration.waitLimit?.seconds)
        let (limit, mode) = (configuration.batchLimit, configuration.batching)
        let forLeastWork = BatchPlanner<ObjectIdentifier>.placesForLeastWork(ofBatch: limit, mode: mode)
        backlog = Backlog(
            decoders: configuration.decoders, shareOfLeastWork: Double(forLeastWork) / Double(limit))
        cache = LeastRecentlyUsedCache(capacity: configuration.cacheBytes)
        planner = BatchPlanner(batchLimit: limit, mode: mode)
    }

    // MARK: Requests

    /// Computes the features of one or more images.
    ///
    /// - Parameters:
    ///   - inputs: the images; at least one.
    ///   - request: what is wanted of them.
    /// - Returns: an answer for each image; one that can't be read doesn't spoil the others.
    /// - Throws: `FeatureServiceError` if the request as a whole has no answer.
    package func features(
        of inputs: [FeatureInput], _ request: FeatureRequest
    ) async throws(FeatureServiceError) -> FeatureResponse {
        let (start, model) = (clock(), active?.version)
        do throws(FeatureServiceError) {
            let response = try await compute(inputs, request)
            tally.answered(response, seconds: start.duration(to: clock()).seconds)
            return response
        } catch {
            if let model, error != .otherModel(serving: model) {
                tally.failed(by: model, seconds: start.duration(to: clock()).seconds)
            }
            throw error
        }
    }

    private func compute(
        _ inputs: [FeatureInput], _ request: FeatureRequest
    ) async throws(FeatureServiceError) -> FeatureResponse {
        guard !isDraining else { throw .draining }
        guard let active else { throw .starting }
        let plan = try RequestPlan(request, served: active)
        try hold(inputs.count * plan.numbers, request.memory)
        let operations = plan.operations
        try reserve(inputs.count, operations: operations)
        let start = clock()
        let keys = await keys(of: inputs, plan: plan)
        // From here to the suspension in `await answer`, nothing else runs on this actor.
        let (id, led) = open(keys, plan: plan, since: start)
        // What others compute or have computed needs no room in the queue.
        reserved -= inputs.count
        backlog.release(inputs.count, operations: operations)
        if let error = reasonToEnd(request) {
            cancel(id, because: error)
            throw error
        }
        decode(led.map { ($0.image, inputs[$0.position]) }, plan: plan)
        return try await answer(id).get()
    }

    /// Takes memory for a request's numbers, which are held until it is answered.
    private nonisolated func hold(_ numbers: Int, _ memory: AnswerMemory?) throws(FeatureServiceError) {
        guard let memory else { return }
        guard numbers <= memory.maximumNumbers else { throw .tooManyNumbers(numbers, atMost: memory.maximumNumbers) }
        guard memory.take(numbers) else { throw overloaded(AdmissionRefusal(.memory, after: 1)) }
    }

    /// Reserves room in the queue before any work is done for the images, which take so many operations each.
    private func reserve(_ count: Int, operations: Double) throws(FeatureServiceError) {
        if let refusal = refusal(of: count, work: operations) { throw overloaded(refusal) }
        reserved += count
        backlog.reserve(count, operations: operations)
    }

    private nonisolated func overloaded(_ refusal: AdmissionRefusal) -> FeatureServiceError {
        events.rejected(refusal.limit)
        return .overloaded(retryAfter: refusal.retryAfter)
    }

    /// What the images' answers are kept under; nil for what is not kept.
    private func keys(of inputs: [FeatureInput], plan: RequestPlan) async -> [AnswerKey?] {
        guard cache.capacity > 0 else { return inputs.map { _ in nil } }
        let (decoders, decoding) = (decoders, configuration.decoding)
        return await withTaskGroup(of: (Int, AnswerKey?).self) { group in
            for (index, input) in inputs.enumerated() {
                guard case .encoded(let bytes) = input else { continue }
                group.addTask {
                    let digest = await decoders.run { SHA256.hash(bytes) }
                    return (index, plan.key(of: digest, decoding: decoding))
                }
            }
            return await group.reduce(into: inputs.map { _ in nil }) { $0[$1.0] = $1.1 }
        }
    }

    /// Registers a request: what is known is filled in, what is under way is waited for.
    ///
    /// - Returns: the images that are left to this request to be decoded and enqueued.
    private func open(
        _ keys: [AnswerKey?], plan: RequestPlan, since start: ContinuousClock.Instant
    ) -> (RequestID, led: [(position: Int, image: ImageID)]) {
        let id = nextRequest
        nextRequest += 1
        var pending = PendingRequest(plan, images: keys.count)
        pending.timings.lookup = start.duration(to: clock()).seconds
        pending.timings.decode = pending.timings.lookup
        var led: [(position: Int, image: ImageID)] = []
        for (position, key) in keys.enumerated() {
            if let key, let known = cache.value(for: key) {
                pending.results[position] = .success(known)
                pending.sources.append(.hit)
            } else {
                let joined = work.join(key, .init(request: id, position: position, since: start))
                pending.unfinished.insert(joined.image)
                if key != nil { pending.sources.append(joined.isNew ? .miss : .shared) }
                if joined.isNew { led.append((position, joined.image)) }
            }
        }
        if cache.capacity > 0 { pending.sources.forEach(events.answered) } else { pending.sources = [] }
        if pending.trace != nil { traced.insert(id) }
        requests[id] = pending
        return (id, led)
    }

    /// Refuses a request before its images have come, if not even one would be admitted now.
    ///
    /// - Parameter mayBeQuick: whether it may ask for less than the default embedding.
    /// - Returns: `FeatureServiceError.overloaded`, or nil if it is worth sending them.
    package nonisolated func refusal(mayBeQuick: Bool = false) -> FeatureServiceError? {
        published.withLock { mayBeQuick ? $0.quickest : $0.usual }.map { overloaded($0) }
    }

    private var waiting: Int { planner.waiting.count + decoding.count + reserved }

    /// Why images of a request, of so many operations each, would be refused. Images that rest take as much memory as those that wait.
    private func refusal(of count: Int, work: Double) -> AdmissionRefusal? {
        policy.refusal(of: count, work: work, waiting: waiting + planner.restingCount, backlog)
    }

    private func publishQueue() {
        let (usual, quickest) = (refusal(of: 1, work: backlog.usual), refusal(of: 1, work: 0))
        published.withLock { $0 = (usual, quickest) }
    }

    /// Decodes a request's images and queues them together, while the request waits. One that ends meanwhile withdraws those
    /// that no other request waits for: they leave the queue at once, and are skipped when their turn to be decoded comes.
    private func decode(_ images: [(image: ImageID, input: FeatureInput)], plan: RequestPlan) {
        guard !images.isEmpty else { return }
        let tickets = images.map { ($0.image, DecodeTicket($0.input)) }
        decoding.merge(tickets) { $1 }
        let operations = plan.operations
        for (image, ticket) in tickets { backlog.add(image, operations: operations, isEncoded: ticket.needsDecoder) }
        Task {
            await withTaskGroup(of: (Int, DecodedInput?).self) { group in
                for (index, (_, ticket)) in tickets.enumerated() {
                    group.addTask { [self] in (index, await input(of: ticket, served: plan.served)) }
                }
                var results = tickets.map { ($0.0, Result<[Float], ImageFailure>?.none) }
                for await (index, decoded) in group {
                    if let decoded {
                        results[index].1 = decoded.input
                        backlog.decoded(results[index].0, seconds: decoded.seconds)
                    }
                    expire()
                }
                enqueue(results, plan: plan)
            }
            startEngine()
        }
    }

    /// A model's input of an image, and the seconds of a decoder's time that it took; nil if the image was withdrawn before its
    /// turn.
    private nonisolated func input(of ticket: DecodeTicket, served: ServedModel) async -> DecodedInput? {
        let prepare = { @Sendable [configuration, clock] () -> DecodedInput? in
            guard let image = ticket.take() else { return nil }
            let start = clock()
            let input = configuration.input(of: image, for: served)
            return (input, start.duration(to: clock()).seconds)
        }
        return ticket.needsDecoder ? await decoders.run(prepare) : prepare()
    }

    /// Queues what has been decoded and is still waited for.
    private func enqueue(_ decoded: [(ImageID, Result<[Float], ImageFailure>?)], plan: RequestPlan) {
        let (served, operations) = (plan.served, plan.operations)
        let now = clock()
        for (image, result) in decoded {
            guard decoding.removeValue(forKey: image) != nil, let result else { continue }
            for waiter in work.waiters(for: image) {
                requests[waiter.request]?.timings.decode = waiter.since.duration(to: now).seconds
                requests[waiter.request]?.trace?.decoded(from: waiter.since, to: now)
            }
            switch result {
            case .failure(let failure): deliver(.failure(failure), of: image)
            case .success(let input):
                models[ObjectIdentifier(served)] = served
                planner.enqueue(image, model: ObjectIdentifier(served), work: operations)
                jobs[image] = Job(
                    served: served, trajectory: plan.trajectory(input, kernels: engine.kernels), admitted: now)
            }
        }
    }

    /// Why a request should not even begin.
    private func reasonToEnd(_ request: FeatureRequest) -> FeatureServiceError? {
        if Task.isCancelled { return .cancelled }
        if let deadline = request.deadline, deadline <= clock() { return .deadlineExceeded }
        return nil
    }

    private func answer(_ id: RequestID) async -> Result<FeatureResponse, FeatureServiceError> {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                requests[id]?.continuation = continuation
                respondIfComplete(id)
            }
        } onCancel: {
            Task { await self.cancel(id, because: .cancelled) }
        }
    }

    /// Ends a request early: images that no other request waits for leave the queue and the batch.
    private func cancel(_ id: RequestID, because error: FeatureServiceError) {
        guard var pending = requests.removeValue(forKey: id) else { return }
        if traced.remove(id) != nil {
            interrupt(id, &pending)
            pending.reportTrace()
        }
        if error == .deadlineExceeded { events.expired() } else { events.abandoned() }
        let abandoned = work.leave(id, pending.unfinished)
        planner.remove(abandoned)
        for image in abandoned {
            decoding.removeValue(forKey: image)?.withdraw()
            jobs[image] = nil
            backlog.remove(image)
        }
        pending.continuation?.resume(returning: .failure(error))
        retireUnusedModels()
    }

    private func respondIfComplete(_ id: RequestID) {
        guard let pending = requests[id], pending.unfinished.isEmpty, let continuation = pending.continuation else {
            return
        }
        requests[id] = nil
        traced.remove(id)
        let response = FeatureResponse(
            served: pending.served, results: pending.results.compactMap { $0 }, sources: pending.sources,
            timings: pending.timings)
        pending.reportTrace()
        continuation.resume(returning: .success(response))
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
        var since = clock()
        while true {
            expire()
            guard let batch = planner.next(), let served = models[batch.model] else { break }
            let start = clock()
            for image in batch.joined { begin(image, at: start) }
            let before = backlog.operations(of: batch.images)
            let advanced = await engine.step(batch.images.compactMap { jobs[$0]?.trajectory.take() }, of: served)
            let end = clock()
            lastProgress = end
            let seconds = start.duration(to: end).seconds
            events.stepped(batch.images.count, seconds)
            tally.stepped(by: served.version, images: batch.images.count, seconds: seconds)
            let left = advanced.reduce(0) { $0 + $1.remainingOperations(model: served.model) }
            // From the step before, so that what lies between two steps counts.
            backlog.stepped(operations: before - left, seconds: since.duration(to: end).seconds)
            since = end
            trace(batch.images, from: start, to: end)
            settle(batch.images, advanced, served: served)
        }
        isRunning = false
        ProcessMemory.scheduleTrim()
        retireUnusedModels()
    }

    private func begin(_ image: ImageID, at now: ContinuousClock.Instant) {
        guard let admitted = jobs[image]?.admitted else { return }
        jobs[image]!.started = now
        for waiter in work.waiters(for: image) {
            let since = max(admitted, waiter.since)
            requests[waiter.request]?.timings.queue.raise(to: since.duration(to: now).seconds)
            requests[waiter.request]?.trace?.queued(from: since, to: now)
        }
    }

    /// Notes a step in the traces of the requests that wait for its images.
    private func trace(_ images: [ImageID], from start: ContinuousClock.Instant, to end: ContinuousClock.Instant) {
        guard !traced.isEmpty else { return }
        var own: [RequestID: Int] = [:]
        for image in images {
            for waiter in work.waiters(for: image) where traced.contains(waiter.request) {
                own[waiter.request, default: 0] += 1
            }
        }
        for (id, count) in own { requests[id]?.trace?.stepped(from: start, to: end, images: images.count, own: count) }
    }

    /// Ends the stages that the images of a traced request are in.
    private func interrupt(_ id: RequestID, _ pending: inout PendingRequest) {
        let now = clock()
        for image in pending.unfinished {
            guard let since = work.waiters(for: image).first(where: { $0.request == id })?.since else { continue }
            if let job = jobs[image] {
                pending.trace?.queued(from: max(job.admitted, since), to: max(job.started ?? now, since))
                if let started = job.started { pending.trace?.inferred(from: max(started, since), to: now) }
            } else {
                pending.trace?.decoded(from: since, to: now)
            }
        }
    }

    /// Takes back what a step advanced. Images cancelled meanwhile are no longer among the jobs.
    private func settle(_ images: [ImageID], _ advanced: [Trajectory], served: ServedModel) {
        var finished: Set<ImageID> = []
        var left: [ImageID: Double] = [:]
        for (image, trajectory) in zip(images, advanced) where jobs[image] != nil {
            if !trajectory.isFinite {
                events.notFinite()
                finish(image, with: .failure(.notFinite))
                finished.insert(image)
            } else if trajectory.isFinished {
                trajectory.start == .image ? events.completed() : events.generated()
                finish(image, with: .success(ImageFeatures(trajectory)))
                finished.insert(image)
            } else {
                let operations = trajectory.remainingOperations(model: served.model)
                backlog.setOperations(operations, of: image)
                left[image] = operations
                jobs[image]!.trajectory = trajectory
            }
        }
        planner.remove(finished)
        if !left.isEmpty { planner.setWork(left) }
        if !finished.isEmpty { retireUnusedModels() }
    }

    private func finish(_ image: ImageID, with result: Result<ImageFeatures, ImageFailure>) {
        guard let job = jobs.removeValue(forKey: image) else { return }
        let now = clock()
        for waiter in work.waiters(for: image) {
            let began = max(job.started ?? now, waiter.since)
            requests[waiter.request]?.timings.inference.raise(to: began.duration(to: now).seconds)
            requests[waiter.request]?.trace?.inferred(from: began, to: now)
        }
        let key = deliver(result, of: image)
        // What a model that no longer serves computed would never be asked for.
        if let key, case .success(let features) = result, key.version == active?.version {
            cache.insert(features, for: key, heapBytes: key.heapBytes(with: features))
        }
    }

    /// Hands an image's answer to everyone who waits for it.
    @discardableResult
    private func deliver(_ result: Result<ImageFeatures, ImageFailure>, of image: ImageID) -> AnswerKey? {
        backlog.remove(image)
        guard let (key, waiters) = work.end(image) else { return nil }
        for waiter in waiters {
            requests[waiter.request]?.results[waiter.position] = result
            requests[waiter.request]?.unfinished.remove(image)
        }
        // Only now: a request may wait for the image in two places.
        for waiter in waiters { respondIfComplete(waiter.request) }
        return key
    }

    private func expire() {
        let now = clock()
        for (id, request) in requests {
            if let deadline = request.deadline, deadline <= now { cancel(id, because: .deadlineExceeded) }
        }
    }

    // MARK: Models

    /// Allocates a model's memory in addition to the active one's and steps a full batch once.
    ///
    /// - Returns: whether the step's result was finite.
    /// - Throws: `TapError` if the model's grid is not what it says.
    package func warmUp(_ served: ServedModel) async throws -> Bool {
        let start = clock()
        let (first, operations) = try await engine.warmUp(served)
        backlog.warmedUp(operations: operations, seconds: start.duration(to: clock()).seconds)
        return first.isFinite
    }

    /// Lets new requests be served by `served`. Images in flight finish on the model they started with.
    ///
    /// - Returns: the model served until now.
    @discardableResult
    package func activate(_ served: ServedModel) -> ServedModel? {
        let old = active
        serving = (served, .now)
        backlog.setUsual(operations: served.usualOperations)
        if old?.version != served.version { cache.removeAll() }
        models[ObjectIdentifier(served)] = served
        retireUnusedModels()
        return old
    }

    /// Frees what a model that was warmed up but not activated holds.
    package func discard(_ served: ServedModel) async {
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

    package func status() -> ServiceStatus {
        let isFull = refusal(of: 1, work: backlog.usual) != nil
        let isStuck = isRunning && lastProgress.duration(to: clock()) > configuration.stuckAfter
        return ServiceStatus(
            isStarted: active != nil,
            isReady: active != nil && !isRetiring && !isDraining && !isFull && !isStuck,
            isLive: !isStuck, isDraining: isDraining || isRetiring, waiting: waiting, decoding: decoding.count,
            inFlight: planner.inFlight.count, expectedWait: backlog.seconds, cachedBytes: cache.byteCount)
    }

    /// Turns readiness off without refusing anything yet, so that a load balancer looks elsewhere.
    package func retireReadiness() { isRetiring = true }

    /// Refuses new requests; those in flight are finished.
    package func beginDraining() { isDraining = true }

    /// Whether there is no request, and no image is waiting, being decoded or in flight.
    package var isIdle: Bool { planner.isEmpty && decoding.isEmpty && reserved == 0 && requests.isEmpty && !isRunning }
}
