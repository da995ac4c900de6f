import Foundation
import HTTPServer
import Synchronization
import TestBench
import Testing

@Suite("Stopping", .timeLimit(.minutes(20)))
struct StopTests {
    private static let request = "GET / HTTP/1.1\r\nHost: h\r\n\r\n"

    @Test("Draining with 50 requests in flight loses no answer, and accepts no new connection")
    func drain() async throws {
        let gate = Gate()
        try await withServer(handler: { _ in await gate.pass() ? .text("done") : .text("cancelled", status: 499) }) {
            server in
            let port = server.port
            let clients = try await offPool {
                try (0..<50).map { _ in
                    let client = try RawClient(port: port)
                    client.send(Self.request)
                    return client
                }
            }
            #expect(await eventually { gate.arrivals == 50 })
            async let drained = server.drain(timeout: .seconds(20))
            let refused = await eventually {
                do { _ = try RawClient(port: port) } catch { return true }
                return false
            }
            #expect(refused)
            gate.open()
            let answers = try await offPool { clients.map { String(decoding: $0.readToEnd(), as: UTF8.self) } }
            #expect(await drained)
            #expect(
                answers.allSatisfy {
                    $0.hasPrefix("HTTP/1.1 200") && $0.hasSuffix("done") && $0.contains("Connection: close")
                })
            #expect(server.counters.openConnections == 0)
            #expect(descriptors(ofPort: port) == 0)
        }
    }

    @Test("A request that outlasts the drain's time is answered 503, even if its handler ignores cancellation")
    func drainTimeout() async throws {
        let gate = Gate()
        // Task.detached: not reached by the cancellation of the handler's task.
        let stubborn: Handler = { _ in
            await Task.detached { _ = await gate.pass() }.value
            return .text("too late")
        }
        try await withServer(handler: stubborn) { server in
            let port = server.port
            let client = try await offPool {
                let client = try RawClient(port: port)
                client.send(Self.request)
                return client
            }
            #expect(await eventually { gate.arrivals == 1 })
            let isComplete = await server.drain(timeout: .milliseconds(200))
            #expect(!isComplete)
            let answer = try await offPool { String(decoding: client.readToEnd(), as: UTF8.self) }
            #expect(answer.hasPrefix("HTTP/1.1 503"))
            gate.open()
            #expect(await eventually { server.counters.runningHandlers == 0 })
        }
    }

    @Test("A stop amid handlers, uploads and idle connections cancels, answers and closes everything")
    func stop() async throws {
        let gate = Gate()
        try await withServer(handler: { _ in await gate.pass() ? .text("done") : .text("cancelled", status: 499) }) {
            server in
            let port = server.port
            let clients = try await offPool {
                try (0..<30).map { index in
                    let client = try RawClient(port: port)
                    switch index % 3 {
                    case 0: client.send(Self.request)
                    case 1: client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc")
                    default: break
                    }
                    return client
                }
            }
            #expect(await eventually { gate.arrivals == 10 && server.counters.activeRequests == 20 })
            await server.stop()
            #expect(server.counters.openConnections == 0)
            #expect(server.counters.activeRequests == 0)
            #expect(server.port == 0)
            let answers = try await offPool { clients.map { String(decoding: $0.readToEnd(), as: UTF8.self) } }
            #expect(answers.count { $0.hasPrefix("HTTP/1.1 503") } == 10, "not what cancelled handlers say")
            #expect(answers.count { $0.isEmpty } == 20)
        }
    }

    @Test(
        "Stops and drains under load, again and again, neither abort the process nor lose an accepted request's answer")
    func stopUnderLoad() async throws {
        for round in 0..<20 {
            let server = try Server(configuration: ServerConfiguration(), handler: echo)
            try server.start()
            let port = server.port
            let clients = (0..<4).map { _ in Task { try await offPool { Self.askUntilRefused(port: port) } } }
            #expect(await eventually { server.counters.endedRequests > 20 })
            if round.isMultiple(of: 2) {
                #expect(await server.drain(timeout: .seconds(10)))
            } else {
                await server.stop()
            }
            for client in clients { #expect(try await client.value == []) }
            #expect(server.counters.openConnections == 0)
        }
    }

    /// Asks on one new connection after the other (on a kept one, a request may cross with the close) and returns the
    /// answers that are neither whole nor a refusal.
    private static func askUntilRefused(port: Int) -> [String] {
        var broken: [String] = []
        while let client = try? RawClient(port: port) {
            guard client.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n") else { break }
            let answer = String(decoding: client.readToEnd(), as: UTF8.self)
            let isWhole = answer.hasPrefix("HTTP/1.1 200") && answer.hasSuffix("GET /  ")
            if !answer.isEmpty, !isWhole, !answer.hasPrefix("HTTP/1.1 503") { broken.append(answer) }
        }
        return broken
    }

    @Test("A server starts once and stops as often as one likes")
    func lifeCycle() async throws {
        let server = try Server(configuration: ServerConfiguration(), handler: echo)
        await server.stop()
        try server.start()
        #expect(throws: ServerError.self) { try server.start() }
        await server.stop()
        await server.stop()
        #expect(await server.drain(timeout: .seconds(1)) == false)
        #expect(throws: ServerError.self) { try server.start() }
    }
}
