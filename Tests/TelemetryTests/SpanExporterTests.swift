import Foundation
import Synchronization
import TestBench
import Testing

@testable import Telemetry

/// A collector with answers that a test chooses.
private final class FakeCollector: SpanTransport {
    private let answers: Mutex<[CollectorAnswer]>
    /// The names of the spans of each document.
    let documents = Mutex<[[String]]>([])
    private let gate: AsyncStream<Void>?
    private let arrival = AsyncStream.makeStream(of: Void.self)

    /// - Parameters:
    ///   - answers: the answers in turn; when they are used up, the last one again.
    ///   - gate: each post waits for one element; nil if none waits.
    init(
        _ answers: [CollectorAnswer] = [.answered(status: 200, retryAfter: nil, body: [])],
        gate: AsyncStream<Void>? = nil
    ) {
        self.answers = Mutex(answers)
        self.gate = gate
    }

    func post(_ document: [UInt8], timeout: Duration) async -> CollectorAnswer {
        documents.withLock { $0.append(Self.names(in: document)) }
        arrival.continuation.yield()
        if let gate { for await _ in gate { break } }
        return answers.withLock { $0.count > 1 ? $0.removeFirst() : $0[0] }
    }

    /// Waits until a post has come.
    func awaitPost() async { for await _ in arrival.stream { return } }

    private static func names(in document: [UInt8]) -> [String] {
        String(decoding: document, as: UTF8.self).matches(of: /"name":"(span-\d+)"/).map { String($0.1) }
    }
}

/// What an exporter told of.
private final class SpanTally: Sendable {
    struct Counts: Equatable {
        var exported = 0
        var lost: [SpanLoss: Int] = [:]
        var failures: [String] = []
        var recoveries = 0
    }
    let counts = Mutex(Counts())

    var events: SpanEvents {
        var events = SpanEvents()
        events.exported = { count in self.counts.withLock { $0.exported += count } }
        events.lost = { count, loss in self.counts.withLock { $0.lost[loss, default: 0] += count } }
        events.failed = { reason in self.counts.withLock { $0.failures.append(reason) } }
        events.recovered = { self.counts.withLock { $0.recoveries += 1 } }
        return events
    }
}

@Suite("The export of spans", .timeLimit(.minutes(2)))
struct SpanExporterTests {
    private static let unavailable = CollectorAnswer.unreachable("connection refused")

    private static func spans(_ numbers: Range<Int>) -> [Span] {
        numbers.map { Span("span-\($0)", .root(), parent: nil, start: 1, end: 2) }
    }

    private static func names(_ numbers: Range<Int>) -> [String] { numbers.map { "span-\($0)" } }

    /// - Parameter sleep: by default pauses last until something ends them.
    private static func exporter(
        _ collector: FakeCollector, _ tally: SpanTally, capacity: Int = 100, batchLimit: Int = 3, attempts: Int = 3,
        sleep: @escaping @Sendable (Duration) async -> Void = { _ in try? await Task.sleep(for: .seconds(3600)) }
    ) -> SpanExporter {
        var configuration = SpanExporter.Configuration()
        configuration.capacity = capacity
        configuration.batchLimit = batchLimit
        configuration.attempts = attempts
        return SpanExporter(
            configuration, document: SpanDocument(service: "test", version: "1"), transport: collector,
            events: tally.events, sleep: sleep)
    }

    @Test("A full batch is sent at once, in order, and the end sends the rest without a pause")
    func batches() async {
        let (collector, tally) = (FakeCollector(), SpanTally())
        let exporter = Self.exporter(collector, tally)
        exporter.export(Self.spans(0..<7))
        await collector.awaitPost()
        exporter.export(Self.spans(7..<8))
        await exporter.finish(within: .seconds(60))
        let documents = collector.documents.withLock { $0 }
        #expect(documents.flatMap(\.self) == Self.names(0..<8))
        #expect(documents.allSatisfy { (1...3).contains($0.count) } && documents[0] == Self.names(0..<3))
        #expect(tally.counts.withLock { $0 } == .init(exported: 8))
    }

    @Test("Spans that come while the queue is full are dropped and counted, without a wait for the collector")
    func overflow() async {
        let (gate, opening) = AsyncStream.makeStream(of: Void.self)
        let (collector, tally) = (FakeCollector(gate: gate), SpanTally())
        let exporter = Self.exporter(collector, tally, capacity: 4)
        exporter.export(Self.spans(0..<3))
        // The collector has these and doesn't answer.
        await collector.awaitPost()
        exporter.export(Self.spans(3..<9))
        exporter.export(Self.spans(9..<10))
        #expect(tally.counts.withLock { $0.lost } == [.full: 3])
        opening.finish()
        await exporter.finish(within: .seconds(60))
        #expect(collector.documents.withLock { $0.flatMap(\.self) } == Self.names(0..<7))
        #expect(tally.counts.withLock { $0 } == .init(exported: 7, lost: [.full: 3]))
    }

    @Test("A batch that isn't taken is sent again after the wait, and the first failure and the recovery are told")
    func retries() async {
        let collector = FakeCollector([
            Self.unavailable, .answered(status: 503, retryAfter: .seconds(7), body: []),
            .answered(status: 200, retryAfter: nil, body: []),
        ])
        let tally = SpanTally()
        let waits = Mutex<[Duration]>([])
        let exporter = Self.exporter(collector, tally) { wait in waits.withLock { $0.append(wait) } }
        exporter.export(Self.spans(0..<2))
        for _ in 0..<3 { await collector.awaitPost() }
        await exporter.finish(within: .seconds(60))
        #expect(collector.documents.withLock { $0 } == Array(repeating: Self.names(0..<2), count: 3))
        #expect(
            tally.counts.withLock { $0 } == .init(exported: 2, failures: ["connection refused"], recoveries: 1))
        let paused = waits.withLock { $0 }
        #expect(paused.count == 3 && paused[0] == .seconds(1) && paused[2] == .seconds(7))
        #expect(paused.count == 3 && (.milliseconds(500) ... .seconds(1)).contains(paused[1]))
    }

    @Test("After the last attempt a batch is dropped, and the next one has its own attempts")
    func attempts() async {
        let (collector, tally) = (FakeCollector([Self.unavailable]), SpanTally())
        let exporter = Self.exporter(collector, tally) { _ in }
        exporter.export(Self.spans(0..<3))
        for _ in 0..<3 { await collector.awaitPost() }
        exporter.export(Self.spans(3..<4))
        for _ in 0..<3 { await collector.awaitPost() }
        await exporter.finish(within: .seconds(60))
        #expect(tally.counts.withLock { $0.lost.values.reduce(0, +) } == 4)
        #expect(tally.counts.withLock { $0.failures } == ["connection refused"], "only the first is told")
    }

    @Test("A batch that the collector can't use is dropped at once, and so are the spans that it refuses of one")
    func refusals() async {
        let body = Array(#"{"partialSuccess":{"rejectedSpans":"2","errorMessage":"too old"}}"#.utf8)
        for (answer, counts) in [
            (
                CollectorAnswer.answered(status: 400, retryAfter: nil, body: Array("what?".utf8)),
                SpanTally.Counts(lost: [.refused: 3], failures: ["status 400: what?"])
            ),
            (
                .answered(status: 200, retryAfter: nil, body: body),
                .init(exported: 1, lost: [.refused: 2], failures: ["2 spans were refused: too old"])
            ),
        ] {
            let (collector, tally) = (FakeCollector([answer]), SpanTally())
            let exporter = Self.exporter(collector, tally)
            exporter.export(Self.spans(0..<3))
            await exporter.finish(within: .seconds(60))
            #expect(collector.documents.withLock { $0.count } == 1)
            #expect(tally.counts.withLock { $0 } == counts)
        }
    }

    @Test("At the end nothing is retried, without time nothing is sent, and what comes later is dropped")
    func end() async {
        for (limit, posts) in [(Duration.seconds(60), 1), (.zero, 0)] {
            let (collector, tally) = (FakeCollector([Self.unavailable]), SpanTally())
            let exporter = Self.exporter(collector, tally)
            exporter.export(Self.spans(0..<2))
            #expect(await exporter.finish(within: limit) || limit == .zero)
            exporter.export(Self.spans(2..<3))
            // Without time, the sending task may notice the end a moment later.
            #expect(await eventually { tally.counts.withLock { $0.lost } == [.stopping: 3] })
            #expect(collector.documents.withLock { $0.count } == posts)
        }
    }

    @Test("A collector that never answers doesn't hold up the end")
    func silence() async {
        let (gate, opening) = AsyncStream.makeStream(of: Void.self)
        let collector = FakeCollector(gate: gate)
        let exporter = Self.exporter(collector, SpanTally())
        exporter.export(Self.spans(0..<3))
        await collector.awaitPost()
        #expect(await !exporter.finish(within: .milliseconds(1)))
        opening.finish()
    }
}
