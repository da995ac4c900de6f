import FeatureService
import Foundation
import Synchronization
import Telemetry
import TestBench
import TestFixtures
import Testing

@testable import API

/// A collector that takes everything.
private final class OpenCollector: SpanTransport {
    private let documents = Mutex<[[UInt8]]>([])

    func post(_ document: [UInt8], timeout: Duration) async -> CollectorAnswer {
        documents.withLock { $0.append(document) }
        return .answered(status: 200, retryAfter: nil, body: [])
    }

    /// All spans that have come.
    func spans() throws -> [ReceivedSpan] {
        try documents.withLock { $0 }.flatMap { document in
            let object = try JSONSerialization.jsonObject(with: Data(document)) as? [String: Any]
            let resources = object?["resourceSpans"] as? [[String: Any]] ?? []
            let scopes = resources.flatMap { $0["scopeSpans"] as? [[String: Any]] ?? [] }
            return scopes.flatMap { $0["spans"] as? [[String: Any]] ?? [] }.map(ReceivedSpan.init)
        }
    }
}

private struct ReceivedSpan {
    let members: [String: Any]

    subscript(name: String) -> String? { members[name] as? String }
    var name: String { self["name"] ?? "" }
    var start: UInt64 { UInt64(self["startTimeUnixNano"] ?? "") ?? 0 }
    var end: UInt64 { UInt64(self["endTimeUnixNano"] ?? "") ?? 0 }
    var failure: String? { (members["status"] as? [String: Any])?["message"] as? String }

    /// The text of an attribute's value; nil if there is no such attribute.
    func attribute(_ key: String) -> String? {
        let attribute = (members["attributes"] as? [[String: Any]])?.first { $0["key"] as? String == key }
        return (attribute?["value"] as? [String: Any])?.values.first.map { "\($0)" }
    }
}

@Suite("Spans of requests", .timeLimit(.minutes(20)))
struct RequestSpansTests {
    private static let trace = "0af7651916cd43dd8448eb211c80319c"
    private static let parent = "b7ad6b7169203331"
    private static let sampled = ["traceparent": "00-\(trace)-\(parent)-01"]

    /// The spans of requests to a service whose own traces are recorded at that ratio.
    private static func spans(
        ratio: Double = 0, _ configure: (inout TestService.Settings) -> Void = { _ in },
        _ requests: (TestService) async throws -> Void
    ) async throws -> [ReceivedSpan] {
        let collector = OpenCollector()
        let exporter = SpanExporter(
            document: SpanDocument(service: "headwater", version: "1.2.3"), transport: collector, events: SpanEvents())
        try await TestService.run {
            configure(&$0)
            $0.tracing = RequestTracing(exporter: exporter, sampler: TraceSampler(ratio: ratio))
        } _: { service async throws in
            try await requests(service)
            #expect(await eventually { service.openRequests == 0 && service.log.lines.count > 0 })
        }
        await exporter.finish(within: .seconds(60))
        return try collector.spans()
    }

    @Test("A request has a span in its caller's trace, with one for each stage and evaluation, each within its parent")
    func stages() async throws {
        let spans = try await Self.spans { service async throws in
            let image = try sampleImage()
            let form = Form().file("image", image).file("image", image)
            let headers = Self.sampled.merging(["Content-Type": Form.contentType, "X-Request-Id": "one"]) { $1 }
            let answer = try await service.client.post("/embed?at=end", form.body, headers: headers)
            #expect(answer.status == 200)
            #expect(answer["traceparent"]?.hasPrefix("00-\(Self.trace)-") == true)
        }
        let server = try #require(spans.first { $0.name == "POST /embed" })
        let inference = try #require(spans.first { $0.name == "inference" })
        let evaluations = spans.filter { $0.name == "evaluation" }
        #expect(
            Set(spans.map(\.name)) == ["POST /embed", "receive", "decode", "queue", "inference", "evaluation", "write"])
        #expect(spans.count == 6 + evaluations.count && Set(spans.compactMap { $0["spanId"] }).count == spans.count)
        #expect(spans.allSatisfy { $0["traceId"] == Self.trace })
        #expect(server["parentSpanId"] == Self.parent && server.members["flags"] as? Int == 0x301)
        for span in spans where span.name != server.name {
            let parent = span.name == "evaluation" ? inference : server
            #expect(span["parentSpanId"] == parent["spanId"], "\(span.name)")
            #expect(parent.start <= span.start && span.start <= span.end && span.end <= parent.end, "\(span.name)")
        }
        #expect(inference.attribute("headwater.evaluations") == "\(evaluations.count)" && !evaluations.isEmpty)
        #expect(evaluations.allSatisfy { ["1", "2"].contains($0.attribute("headwater.request.images")) })
        let now = UInt64(Date.now.timeIntervalSince1970 * 1e9)
        #expect(server.start < now && now - server.start < 3_600_000_000_000)
        for (key, value) in [
            ("http.request.method", "POST"), ("http.route", "/embed"), ("url.path", "/embed"), ("url.scheme", "http"),
            ("http.response.status_code", "200"), ("client.address", "127.0.0.1"), ("headwater.request.id", "one"),
            ("headwater.images", "2"), ("headwater.model.name", "a"),
        ] {
            #expect(server.attribute(key) == value, "\(key)")
        }
        #expect(server.failure == nil && server.attribute("error.type") == nil)
    }

    @Test("Both halves of an interpolation have their stages")
    func passes() async throws {
        let spans = try await Self.spans { service async throws in
            let image = try sampleImage()
            let headers = Self.sampled.merging(["Content-Type": Form.contentType]) { $1 }
            let body = Form().file("image", image).file("image", image).body
            #expect(try await service.client.post("/interpolate?steps=3", body, headers: headers).status == 200)
        }
        #expect(spans.count { $0.name == "inference" } == 2)
    }

    @Test("A request that expires shows the stages that it was in")
    func expiry() async throws {
        let spans = try await Self.spans { service async throws in
            let headers = Self.sampled.merging(["X-Request-Timeout": "0.000001"]) { $1 }
            let answer = try await service.client.post("/embed", try sampleImage(), headers: headers)
            #expect(answer.status == 504)
        }
        let server = try #require(spans.first { $0.name == "POST /embed" })
        #expect(server.failure == "deadline_exceeded" && server.attribute("http.response.status_code") == "504")
        let decode = try #require(spans.first { $0.name == "decode" })
        #expect(server.start <= decode.start && decode.end <= server.end)
    }

    @Test(
        "The caller's flag decides, and without a caller the ratio does; health checks are traced for a caller alone",
        arguments: [
            ("/version", sampled, 0, 1), ("/version", ["traceparent": "00-\(trace)-\(parent)-00"], 1, 0),
            ("/version", [:], 0, 0), ("/version", [:], 1, 1), ("/version", ["traceparent": "nonsense"], 1, 1),
            ("/health/live", [:], 1, 0), ("/health/live", sampled, 0, 1),
        ] as [(String, [String: String], Double, Int)])
    func sampling(path: String, headers: [String: String], ratio: Double, count: Int) async throws {
        let spans = try await Self.spans(ratio: ratio) {
            $0.logLevel = .debug
        } _: { service async throws in
            let answer = try await service.client.get(path, headers: headers)
            let flags = try #require(answer["traceparent"]?.suffix(2))
            // Bit 0 is "sampled"; bit 1, "random", is in traces that begin here.
            #expect(
                flags
                    == (headers == Self.sampled
                        ? "01"
                        : headers.count == 1 && ratio == 1 && count == 0
                            ? "00"
                            : ratio == 1 ? "03" : "02"))
        }
        #expect(spans.count { $0.members["kind"] as? Int == 2 } == count)
    }

    @Test("A fault of the service is an error, a fault of the client is none, and paths that don't exist stay out")
    func failures() async throws {
        let spans = try await Self.spans(ratio: 1) {
            $0.service.waitLimit = TestService.noWork
        } _: { service async throws in
            #expect(try await service.client.post("/embed", try sampleImage()).status == 503)
            #expect(try await service.client.get("/secret-path?key=hidden").status == 404)
            #expect(try await service.client.get("/version?x=hidden").status == 400)
            #expect(try await service.client.send("BREW", "/version", body: nil).status == 405)
        }
        let servers = spans.filter { $0.members["kind"] as? Int == 2 }
        let overloaded = try #require(servers.first { $0.name == "POST /embed" })
        #expect(overloaded.failure == "overloaded" && overloaded.attribute("error.type") == "overloaded")
        let missing = try #require(servers.first { $0.name == "GET" })
        #expect(missing.failure == nil && missing.attribute("headwater.problem") == "not_found")
        #expect(missing.attribute("url.path") == nil && missing.attribute("http.route") == nil)
        #expect(missing.attribute("http.response.status_code") == "404")
        let mistaken = try #require(servers.first { $0.name == "GET /version" })
        #expect(mistaken.failure == nil && mistaken.attribute("url.path") == "/version")
        #expect(servers.contains { $0.name == "HTTP" && $0.attribute("http.request.method") == "_OTHER" })
        for span in spans { #expect(!"\(span.members)".contains("hidden") && !"\(span.members)".contains("secret")) }
    }

    @Test("Spans have the time of the world, and clocks that are changed don't stretch them")
    func time() {
        let now = ContinuousClock.now
        let time = CivilTime(instant: now, nanoseconds: 5_000_000_000)
        #expect(time.nanoseconds(of: now) == 5_000_000_000)
        #expect(time.nanoseconds(of: now - .milliseconds(1500)) == 3_500_000_000)
        #expect(time.nanoseconds(of: now + .nanoseconds(7)) == 5_000_000_007)
        #expect(time.nanoseconds(of: now - .seconds(6)) == 0)
    }
}
