import Foundation
import TestFixtures
import Testing

@testable import Telemetry

private let trace = "0af7651916cd43dd8448eb211c80319c"

@Suite("Sampling")
struct TraceSamplerTests {
    @Test("A new trace is recorded by its id alone, by consistent probability sampling's rule")
    func threshold() throws {
        for (ratio, random, isRecorded) in [
            (1.0, "00000000000000", true), (0, "ffffffffffffff", false), (0.5, "80000000000000", true),
            (0.5, "7fffffffffffff", false), (0.25, "c0000000000000", true), (0.25, "bfffffffffffff", false),
        ] {
            for rest in ["00", "ff"] {
                let context = try #require(
                    TraceContext(traceparent: "00-8448eb211c80319c\(rest)\(random)-b7ad6b7169203331-02"))
                #expect(TraceSampler(ratio: ratio).records(context) == isRecorded, "\(ratio) \(random)")
            }
        }
    }

    @Test(
        "The share of new traces that are recorded is the ratio, and their flag says so", arguments: [0, 0.1, 0.5, 1])
    func share(ratio: Double) {
        let sampler = TraceSampler(ratio: ratio)
        let contexts = (0..<4000).map { _ in TraceContext.root(sampler) }
        let share = Double(contexts.count(where: \.isSampled)) / 4000
        // Six standard deviations: this fails once in 500 million times.
        #expect(abs(share - ratio) <= 6 * (ratio * (1 - ratio) / 4000).squareRoot())
        for context in contexts { #expect(context.traceparent.hasSuffix(context.isSampled ? "-03" : "-02")) }
    }
}

@Suite("Documents of spans")
struct SpanDocumentTests {
    @Test("A span has OpenTelemetry's form: ids in hexadecimal, 64-bit numbers as strings, attributes by type")
    func form() throws {
        let remote = try #require(TraceContext(traceparent: "00-\(trace)-b7ad6b7169203331-01"))
        let server = Span(
            "POST /embed", remote.child(), parent: .init(remote, isRemote: true), kind: .server,
            start: 1_700_000_000_000_000_001, end: 1_700_000_000_000_000_002,
            attributes: [
                "text": "a\"\n", "integer": .integer(Int64.max), "number": 0.5, "boolean": true,
                "infinite": .number(-.infinity),
            ], failure: "overloaded")
        let part = Span(
            "decode", server.context.child(), parent: .init(server.context, isRemote: false), start: 5, end: 4)
        let bytes = SpanDocument(service: "headwater", version: "1.2.3").bytes(of: [server, part])
        let document = try JSONSerialization.jsonObject(with: Data(bytes))
        func attribute(_ key: String, _ type: String, _ value: Any) -> [String: Any] {
            ["key": key, "value": [type: value]]
        }
        let expected: [String: Any] = [
            "resourceSpans": [
                [
                    "resource": [
                        "attributes": [
                            attribute("service.name", "stringValue", "headwater"),
                            attribute("service.version", "stringValue", "1.2.3"),
                        ]
                    ],
                    "scopeSpans": [
                        [
                            "scope": ["name": "headwater", "version": "1.2.3"],
                            "spans": [
                                [
                                    "traceId": trace, "spanId": server.context.spanID,
                                    "parentSpanId": "b7ad6b7169203331",
                                    "flags": 0x301, "name": "POST /embed", "kind": 2,
                                    "startTimeUnixNano": "1700000000000000001",
                                    "endTimeUnixNano": "1700000000000000002",
                                    "attributes": [
                                        attribute("text", "stringValue", "a\"\n"),
                                        attribute("integer", "intValue", "9223372036854775807"),
                                        attribute("number", "doubleValue", 0.5),
                                        attribute("boolean", "boolValue", true),
                                        attribute("infinite", "doubleValue", "-Infinity"),
                                    ],
                                    "status": ["code": 2, "message": "overloaded"],
                                ],
                                [
                                    "traceId": trace, "spanId": part.context.spanID,
                                    "parentSpanId": server.context.spanID,
                                    "flags": 0x101, "name": "decode", "kind": 1, "startTimeUnixNano": "5",
                                    "endTimeUnixNano": "5", "attributes": [],
                                ],
                            ],
                        ]
                    ],
                ]
            ]
        ]
        #expect(document as? NSDictionary == expected as NSDictionary, "\(document)")
    }
}

@Suite("A collector's answers")
struct CollectorAnswerTests {
    private static func decision(
        _ status: Int, _ body: String = "", retryAfter: Duration? = nil, attempt: Int = 1, jitter: Double = 0
    ) -> DeliveryDecision {
        DeliveryDecision(
            .answered(status: status, retryAfter: retryAfter, body: Array(body.utf8)), attempt: attempt, count: 10,
            jitter: jitter)
    }

    @Test("429, 502, 503 and 504 are worth another attempt, other errors and redirections aren't")
    func statuses() {
        for status in [429, 502, 503, 504] {
            #expect(Self.decision(status) == .retry(after: .seconds(1), reason: "status \(status)"))
        }
        for status in [301, 307, 400, 401, 404, 408, 413, 500, 501, 505] {
            #expect(Self.decision(status, "no") == .refused("status \(status): no"))
        }
        for status in [200, 202, 204] { #expect(Self.decision(status) == .delivered(rejected: 0, message: "")) }
    }

    @Test(
        "The wait is what the collector asks for, five minutes at most, or doubles with each attempt, less a random part"
    )
    func waits() {
        let waits = (1...7).map { attempt in
            [0, 1].map { Self.wait(Self.decision(503, attempt: attempt, jitter: $0)) }
        }
        #expect(waits.map(\.[0]) == [1, 2, 4, 8, 16, 16, 16].map { .seconds($0) })
        #expect(waits.map(\.[1]) == [0.5, 1, 2, 4, 8, 8, 8].map { .seconds($0) })
        #expect(Self.wait(Self.decision(429, retryAfter: .seconds(7), attempt: 3)) == .seconds(7))
        #expect(Self.wait(Self.decision(503, retryAfter: .seconds(86_400))) == .seconds(300))
        #expect(Self.wait(DeliveryDecision(.unreachable("a"), attempt: 2, count: 1, jitter: 0)) == .seconds(2))
    }

    private static func wait(_ decision: DeliveryDecision) -> Duration? {
        if case .retry(let wait, _) = decision { wait } else { nil }
    }

    @Test(
        "A partial success names the spans that were refused; an answer of another form is a success",
        arguments: [
            (#"{"partialSuccess":{"rejectedSpans":"3","errorMessage":"too old"}}"#, 3, "too old"),
            (#"{"partialSuccess":{"rejectedSpans":3}}"#, 3, ""), (#"{"partialSuccess":{}}"#, 0, ""),
            (#"{"partialSuccess":null}"#, 0, ""), (#"{"partialSuccess":{"rejectedSpans":"11"}}"#, 10, ""),
            (#"{"partialSuccess":{"rejectedSpans":"-4"}}"#, 0, ""),
            (#"{"new":[1,{}],"partialSuccess":{"rejectedSpans":1,"new":[]}}"#, 1, ""), ("{}", 0, ""), ("", 0, ""),
            ("thank you", 0, ""), (#"{"partialSuccess":{"rejectedSpans":1e9}}"#, 10, ""),
            (#"{"partialSuccess":{"rejectedSpans":1.5}}"#, 0, ""),
        ] as [(String, Int, String)])
    func partialSuccess(body: String, rejected: Int, message: String) {
        #expect(Self.decision(200, body) == .delivered(rejected: rejected, message: message))
    }
}
