import TestFixtures
import Testing

@testable import Telemetry

private let trace = "0af7651916cd43dd8448eb211c80319c"
private let span = "b7ad6b7169203331"

@Suite struct TraceContextTests {
    @Test("A valid header is read and written back")
    func roundTrip() throws {
        let context = try #require(TraceContext(traceparent: "00-\(trace)-\(span)-01"))
        #expect(context.traceID == trace)
        #expect(context.spanID == span)
        #expect(context.traceparent == "00-\(trace)-\(span)-01")
    }

    @Test("Unknown flags are not passed on", arguments: [("ff", "03"), ("00", "00"), ("fc", "00"), ("02", "02")])
    func flags(received: String, sent: String) throws {
        let context = try #require(TraceContext(traceparent: "00-\(trace)-\(span)-\(received)"))
        #expect(context.traceparent.hasSuffix("-\(sent)"))
    }

    @Test("A later version is read as far as it is known, and answered in version 00")
    func laterVersions() throws {
        for header in ["01-\(trace)-\(span)-01", "cc-\(trace)-\(span)-01-what-comes-later", "fe-\(trace)-\(span)-01-"] {
            #expect(TraceContext(traceparent: header)?.traceparent == "00-\(trace)-\(span)-01", "\(header)")
        }
    }

    @Test(
        "An invalid header is refused",
        arguments: [
            "", "00", "00-\(trace)-\(span)", "00-\(trace)-\(span)-1", "00-\(trace)-\(span)-001",
            "00-\(trace)-\(span)-01-", "00-\(trace)-\(span)-01-more", "01-\(trace)-\(span)-01more",
            "ff-\(trace)-\(span)-01", "0g-\(trace)-\(span)-01", "00-\(trace.uppercased())-\(span)-01",
            "00-\(trace)-\(span.uppercased())-01", "00-00000000000000000000000000000000-\(span)-01",
            "00-\(trace)-0000000000000000-01", "00_\(trace)-\(span)-01", " 00-\(trace)-\(span)-01",
            "00-\(trace)-+7ad6b7169203331-01", "00-\(trace)-\(span)-0A",
        ].map { Named($0, $0) } + [Named("100,000 digits", String(repeating: "0", count: 100_000))])
    func invalid(header: Named<String>) {
        #expect(TraceContext(traceparent: header.value) == nil)
    }

    @Test("A child keeps the trace and its flags under a new span")
    func child() throws {
        let parent = try #require(TraceContext(traceparent: "00-\(trace)-\(span)-01"))
        let child = parent.child()
        #expect(child.traceID == trace && child.spanID != span && child.traceparent.hasSuffix("-01"))
        #expect(TraceContext(traceparent: child.traceparent) == child)
    }

    @Test("New traces differ, are valid, and are not sampled")
    func root() {
        let (first, second) = (TraceContext.root(), TraceContext.root())
        #expect(first.traceID != second.traceID && first.traceparent.hasSuffix("-02"))
        #expect(TraceContext(traceparent: first.traceparent) == first)
    }
}

@Suite struct RequestIDTests {
    @Test(
        "A client's id of the allowed form is kept",
        arguments: ["a", "Req-1.2_3:4", String(repeating: "x", count: 128)])
    func accepted(text: String) {
        #expect(RequestID(accepting: text).description == text)
    }

    @Test(
        "Any other is replaced",
        arguments: ["", " ", "a b", "a\r\nSet-Cookie: x", "é", "a/b", "\u{0}", String(repeating: "x", count: 129), nil])
    func replaced(text: String?) {
        let id = RequestID(accepting: text)
        #expect(id.description != text)
        #expect(id.description.utf8.count == 32)
        #expect(RequestID(id.description) == id)
    }

    @Test("New ids differ")
    func distinct() {
        #expect(Set((0..<1000).map { _ in RequestID.random() }).count == 1000)
    }
}
