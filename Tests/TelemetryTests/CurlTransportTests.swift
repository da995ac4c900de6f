import HTTPServer
import Synchronization
import TestBench
import Testing

@testable import Telemetry

@Suite("Posting by libcurl", .timeLimit(.minutes(2)))
struct CurlTransportTests {
    /// What a server was posted.
    private final class Posts: Sendable {
        let requests = Mutex<[Request]>([])
    }

    private static func withCollector(
        answering response: Response, _ body: (Server, Posts) async throws -> Void
    ) async throws {
        let posts = Posts()
        let server = try Server(handler: { request in
            posts.requests.withLock { $0.append(request) }
            return response
        })
        try server.start()
        do { try await body(server, posts) } catch {
            await server.stop()
            throw error
        }
        await server.stop()
    }

    @Test("A document is posted as it is, over one connection, and the answer's status, wait and body come back")
    func posting() async throws {
        let busy = Response(status: 503, headers: ["Retry-After": "17"], body: Array("busy".utf8))
        try await Self.withCollector(answering: busy) { server, posts in
            let transport = try CurlTransport(
                url: "http://127.0.0.1:\(server.port)/v1/traces?a=b", userAgent: "headwater/1.2.3")
            // Larger than what libcurl would ask permission for.
            for document in [Array("{}".utf8), [UInt8](repeating: UInt8(ascii: " "), count: 3 << 20)] {
                let answer = await transport.post(document, timeout: .seconds(60))
                #expect(answer == .answered(status: 503, retryAfter: .seconds(17), body: Array("busy".utf8)))
                let request = try #require(posts.requests.withLock { $0.last })
                #expect(request.head.method == "POST" && request.head.path == "/v1/traces")
                #expect(request.head.headers["Content-Type"] == "application/json")
                #expect(request.head.headers["User-Agent"] == "headwater/1.2.3")
                #expect(request.head.headers["Expect"] == nil && request.bytes == document)
            }
            #expect(server.counters.acceptedConnections == 1)
        }
    }

    @Test("Of a long answer the beginning is kept, and a redirection isn't followed")
    func answers() async throws {
        let long = Response(body: [UInt8](repeating: 97, count: 1 << 20))
        try await Self.withCollector(answering: long) { server, _ in
            let transport = try CurlTransport(url: "http://127.0.0.1:\(server.port)/", userAgent: "a")
            let answer = await transport.post([], timeout: .seconds(60))
            #expect(answer == .answered(status: 200, retryAfter: nil, body: [UInt8](repeating: 97, count: 4096)))
        }
        try await Self.withCollector(answering: Response(status: 307, headers: ["Location": "/b"])) { server, posts in
            let transport = try CurlTransport(url: "http://127.0.0.1:\(server.port)/a", userAgent: "a")
            let answer = await transport.post([], timeout: .seconds(60))
            #expect(answer == .answered(status: 307, retryAfter: nil, body: []))
            #expect(posts.requests.withLock { $0.count } == 1)
        }
    }

    @Test("What can't be reached, or speaks another protocol, is told in words")
    func unreachable() async throws {
        var port: UInt16 = 0
        try await Self.withCollector(answering: Response()) { server, _ in port = UInt16(server.port) }
        for url in ["http://127.0.0.1:\(port)/", "file:///etc/hostname", "gopher://127.0.0.1/"] {
            let transport = try CurlTransport(url: url, userAgent: "a")
            guard case .unreachable(let reason) = await transport.post([], timeout: .seconds(60)) else {
                Issue.record("\(url) was reached")
                continue
            }
            #expect(!reason.isEmpty)
        }
    }

    @Test("A collector that doesn't answer is given up after the time")
    func timeout() async throws {
        let (gate, opening) = AsyncStream.makeStream(of: Void.self)
        let server = try Server(handler: { _ in
            for await _ in gate {}
            return Response()
        })
        try server.start()
        let transport = try CurlTransport(url: "http://127.0.0.1:\(server.port)/", userAgent: "a")
        guard case .unreachable(let reason) = await transport.post([], timeout: .milliseconds(50)) else {
            Issue.record("it answered")
            return
        }
        #expect(reason.contains("timed out"), "\(reason)")
        opening.finish()
        await server.stop()
    }
}
