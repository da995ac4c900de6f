import Synchronization

/// Sends documents to a collector.
package protocol SpanTransport: Sendable {
    /// Posts a document and waits for the answer, at most `timeout`.
    func post(_ document: [UInt8], timeout: Duration) async -> CollectorAnswer
}

/// Why spans weren't exported. Raw values are a metric's label.
package enum SpanLoss: String, Sendable, CaseIterable {
    /// They came faster than they could be sent.
    case full
    /// The collector could not be reached, or asked for patience, at every attempt.
    case unavailable
    /// The collector refused the batch, or these spans of it.
    case refused
    /// The service ended.
    case stopping
}

/// What happens to spans, for metrics and the log.
package struct SpanEvents: Sendable {
    package var exported: @Sendable (_ count: Int) -> Void = { _ in }
    package var lost: @Sendable (_ count: Int, SpanLoss) -> Void = { _, _ in }
    /// An attempt failed after one that succeeded, or the first one failed.
    package var failed: @Sendable (_ reason: String) -> Void = { _ in }
    /// An attempt succeeded after ones that failed.
    package var recovered: @Sendable () -> Void = {}

    package init() {}
}

/// Exports spans to a collector in batches. Requests never wait for it: what it can't take or send is dropped and counted.
///
/// A task of its own sends one batch at a time, so that a slow collector is asked for no more than it can do.
package final class SpanExporter: Sendable {
    package struct Configuration: Sendable {
        /// Spans that may wait; about a kilobyte each.
        package var capacity = 8192
        /// The most spans in a batch, which is sent at once when there are so many.
        package var batchLimit = 512
        /// How long a span waits for others.
        package var delay: Duration = .seconds(1)
        /// The time that the collector has to answer.
        package var timeout: Duration = .seconds(10)
        /// How often a batch is sent before it is dropped.
        package var attempts = 5

        package init() {}
    }

    private struct State {
        var queue: SpanQueue
        /// Until when the rest may be sent, once the service ends.
        var end: ContinuousClock.Instant?
        /// The pause that the sending task makes; nil while it makes none.
        var pause: Task<Void, Never>?
        /// Whether the pause ends when there is a batch to send.
        var waitsForSpans = false
    }

    private let configuration: Configuration
    private let document: SpanDocument
    private let transport: any SpanTransport
    private let events: SpanEvents
    private let sleep: @Sendable (Duration) async -> Void
    private let state: Mutex<State>
    private let arrivals: AsyncStream<Void>.Continuation
    private let worker = Mutex<Task<Void, Never>?>(nil)

    /// An exporter that begins at once.
    ///
    /// - Parameter sleep: waits for a time, or until its task is cancelled.
    package init(
        _ configuration: Configuration = Configuration(), document: SpanDocument, transport: any SpanTransport,
        events: SpanEvents, sleep: @escaping @Sendable (Duration) async -> Void = { try? await Task.sleep(for: $0) }
    ) {
        self.configuration = configuration
        self.document = document
        self.transport = transport
        self.events = events
        self.sleep = sleep
        state = Mutex(State(queue: SpanQueue(capacity: configuration.capacity)))
        let (stream, arrivals) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        self.arrivals = arrivals
        worker.withLock { $0 = Task { await send(arrivals: stream) } }
    }

    /// Takes a request's spans. Returns at once.
    package func export(_ spans: [Span]) {
        let (lost, reason) = state.withLock { state in
            guard state.end == nil else { return (spans.count, SpanLoss.stopping) }
            let lost = state.queue.add(spans)
            if state.waitsForSpans, state.queue.count >= configuration.batchLimit { state.pause?.cancel() }
            return (lost, .full)
        }
        if lost > 0 { events.lost(lost, reason) }
        arrivals.yield()
    }

    /// Sends what waits, and ends. What can't be sent within `limit` is dropped. Nothing is retried.
    ///
    /// - Returns: whether the collector had answered every attempt by then.
    @discardableResult
    package func finish(within limit: Duration) async -> Bool {
        state.withLock { state in
            state.end = .now + limit
            state.pause?.cancel()
        }
        arrivals.finish()
        let worker = worker.withLock { $0 }
        // An attempt that began before may take longer than the limit. A task group would wait for it.
        let (ends, end) = AsyncStream.makeStream(of: Bool.self)
        Task {
            await worker?.value
            end.yield(true)
        }
        let timer = Task {
            try? await Task.sleep(for: limit)
            end.yield(false)
        }
        defer { timer.cancel() }
        for await isComplete in ends { return isComplete }
        return false
    }

    private func send(arrivals: AsyncStream<Void>) async {
        var isFailing = false
        for await _ in arrivals {
            await pause(configuration.delay, waitsForSpans: true)
            await sendAll(&isFailing)
        }
        await sendAll(&isFailing)
    }

    private func sendAll(_ isFailing: inout Bool) async {
        while true {
            let batch = state.withLock { $0.queue.take(configuration.batchLimit) }
            guard !batch.isEmpty else { return }
            await send(batch, &isFailing)
        }
    }

    /// Sends a batch, again and again if need be.
    private func send(_ batch: [Span], _ isFailing: inout Bool) async {
        let bytes = document.bytes(of: batch)
        for attempt in 1... {
            guard let timeout = timeLeft else { return events.lost(batch.count, .stopping) }
            let answer = await transport.post(bytes, timeout: timeout)
            let decision = DeliveryDecision(
                answer, attempt: attempt, count: batch.count, jitter: .random(in: 0...1))
            switch decision {
            case .delivered(let rejected, let message):
                events.exported(batch.count - rejected)
                if rejected > 0 { events.lost(rejected, .refused) }
                note(rejected > 0 ? "\(rejected) spans were refused: \(message)" : nil, &isFailing)
                return
            case .refused(let reason):
                note(reason, &isFailing)
                return events.lost(batch.count, .refused)
            case .retry(let wait, let reason):
                note(reason, &isFailing)
                guard !isEnding else { return events.lost(batch.count, .stopping) }
                guard attempt < configuration.attempts else { return events.lost(batch.count, .unavailable) }
                await pause(wait, waitsForSpans: false)
            }
        }
    }

    /// Tells of the first of several failures, and of their end.
    private func note(_ failure: String?, _ isFailing: inout Bool) {
        if let failure, !isFailing { events.failed(failure) }
        if failure == nil, isFailing { events.recovered() }
        isFailing = failure != nil
    }

    private var isEnding: Bool { state.withLock { $0.end != nil } }

    /// The time that an attempt may take; nil if there is none left.
    private var timeLeft: Duration? {
        guard let end = state.withLock({ $0.end }) else { return configuration.timeout }
        let left = ContinuousClock.now.duration(to: end)
        return left > .zero ? min(left, configuration.timeout) : nil
    }

    /// Waits for a time, for the end, or for a full batch if that is said.
    private func pause(_ duration: Duration, waitsForSpans: Bool) async {
        let pause = state.withLock { state -> Task<Void, Never>? in
            let isFull = waitsForSpans && state.queue.count >= configuration.batchLimit
            guard state.end == nil, !isFull else { return nil }
            let pause = Task { [sleep] in await sleep(duration) }
            (state.pause, state.waitsForSpans) = (pause, waitsForSpans)
            return pause
        }
        await pause?.value
        state.withLock { ($0.pause, $0.waitsForSpans) = (nil, false) }
    }
}
