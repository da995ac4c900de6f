import HTTPServer
import Synchronization
import TestBench
import Testing

/// Accepts bodies of 10 bytes for every path except `/refused`, and notes the steps of each request.
private struct SteppingApplication: Application {
    let ended: @Sendable ([String]) -> Void

    func observation(of headers: HTTPHeaders, target: String?) -> [String] {
        [headers["X-Name"] ?? "no name of \(target ?? "nothing")"]
    }

    func admit(_ head: RequestHead, _ observation: inout [String]) -> Admission<String> {
        observation.append("admit")
        return head.path == "/refused"
            ? .refused(.text("refused", status: 403)) : .accepted(head.path, .memory(maximumBytes: 10))
    }

    func respond(to request: Request, _ call: String, _ observation: inout [String]) async -> Response {
        observation.append("respond \(call)")
        return Response(headers: call == "/unsendable" ? ["X\r\nY": "a"] : [:])
    }

    func response(to refusal: TransportRefusal, _ observation: inout [String]) -> Response {
        observation.append("refusal \(refusal.status)")
        return .text(refusal.reason, status: refusal.status)
    }

    func ended(_ record: ExchangeRecord, _ observation: [String]) { ended(observation) }
}

@Suite("Applications", .timeLimit(.minutes(20)))
struct ApplicationTests {
    @Test(
        "An application's values go with their request from its headers to its end, whatever becomes of it",
        arguments: [
            ("GET /a HTTP/1.1\r\nHost: h\r\nX-Name: n\r\n\r\n", ["n", "admit", "respond /a"]),
            ("GET /refused HTTP/1.1\r\nHost: h\r\nX-Name: n\r\n\r\n", ["n", "admit"]),
            (
                "GET /unsendable HTTP/1.1\r\nHost: h\r\nX-Name: n\r\n\r\n",
                ["n", "admit", "respond /unsendable", "refusal 500"]
            ),
            ("GET /% HTTP/1.1\r\nHost: h\r\nX-Name: n\r\n\r\n", ["n", "refusal 400"]),
            ("POST / HTTP/1.1\r\nHost: h\r\nX-Name: n\r\nContent-Length: 11\r\n\r\n", ["n", "admit", "refusal 413"]),
            (
                "POST / HTTP/1.1\r\nHost: h\r\nX-Name: n\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nhello hello\r\n0\r\n\r\n",
                ["n", "admit", "refusal 413"]
            ),
            ("GET /a HTTP/1.1\r\nHost: h\r\nX-Name: n\r\n", ["no name of /a"]),
        ])
    func steps(request: String, steps: [String]) async throws {
        let ended = Mutex<[[String]]>([])
        let server = try Server(
            SteppingApplication { observation in ended.withLock { $0.append(observation) } },
            configuration: ServerConfiguration(), log: { _ in })
        try server.start()
        let port = server.port
        try await offPool {
            let client = try RawClient(port: port)
            client.send(request)
            client.halfClose()
            _ = client.readToEnd()
        }
        #expect(await eventually { server.counters.activeRequests == 0 })
        await server.stop()
        #expect(ended.withLock { $0 } == [steps])
    }
}
