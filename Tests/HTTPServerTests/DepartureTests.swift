import Foundation
import HTTPServer
import Synchronization
import TestBench
import Testing

@Suite("Clients that leave", .timeLimit(.minutes(20)))
struct DepartureTests {
    private static let request = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab"

    /// Answers when the gate opens; 499 when cancelled.
    private static func waiting(for gate: Gate) -> Handler {
        { _ in await gate.pass() ? .text("answer") : .text("cancelled", status: 499) }
    }

    @Test(
        "A client that closes or resets its connection cancels its handler at once",
        arguments: [false, true], [ServerConfiguration.HalfClosePolicy.answer, .cancel])
    func gone(resets: Bool, policy: ServerConfiguration.HalfClosePolicy) async throws {
        let gate = Gate()
        let records = Mutex<[ExchangeRecord]>([])
        try await withServer {
            $0.halfClosedClients = policy
            // Without the monitor it would be this time that ends the request.
            $0.requestTimeout = .seconds(3600)
        } handler: { _ in
            await gate.pass() ? .text("answer") : .text("cancelled", status: 503)
        } observe: { record in
            records.withLock { $0.append(record) }
        } _: { server in
            let port = server.port
            let client = Mutex(try await offPool { () -> RawClient? in try RawClient(port: port) })
            client.withLock { _ = $0?.send(Self.request) }
            #expect(await eventually { gate.arrivals == 1 })
            if resets { client.withLock { $0?.reset() } }
            client.withLock { $0 = nil }
            #expect(await eventually { gate.cancelled == 1 })
            #expect(await eventually { server.counters.openConnections == 0 })
        }
        #expect(records.withLock { $0.map(\.outcome) } == [.clientGone])
        #expect(records.withLock { $0.map(\.status) } == [499], "the answer of a cancelled handler is no fault")
    }

    @Test("A client that only half-closes gets its answer")
    func halfClosed() async throws {
        let gate = Gate()
        try await withServer {
            $0.threads = 1
        } handler: {
            await Self.waiting(for: gate)($0)
        } _: { server in
            let port = server.port
            // An older connection, which libmicrohttpd looks at first in each turn: its youngest are treated otherwise.
            let older = try await offPool { try RawClient(port: port) }
            #expect(await eventually { server.counters.openConnections == 1 })
            let client = try await offPool {
                let client = try RawClient(port: port)
                client.send(Self.request)
                client.halfClose()
                return client
            }
            defer { _ = older }
            #expect(await eventually { gate.arrivals == 1 })
            // The probe has been sent when its bytes can be read; only then may the handler end.
            let probe = try await offPool {
                var bytes = [UInt8](repeating: 0, count: 25)
                return recv(client.socket, &bytes, 25, Int32(MSG_WAITALL)) == 25
                    ? String(decoding: bytes, as: UTF8.self) : ""
            }
            #expect(probe == "HTTP/1.1 100 Continue\r\n\r\n")
            gate.open()
            let response = try await offPool { try client.response() }
            #expect(response.status == 200)
            #expect(response.text == "answer")
            #expect(gate.cancelled == 0)
        }
    }

    @Test("A client that half-closes and then dies is noticed too")
    func halfClosedThenGone() async throws {
        let gate = Gate()
        try await withServer(handler: Self.waiting(for: gate)) { server in
            let port = server.port
            let client = Mutex(
                try await offPool { () -> RawClient? in
                    let client = try RawClient(port: port)
                    client.send(Self.request)
                    client.halfClose()
                    return client
                })
            #expect(await eventually { gate.arrivals == 1 })
            client.withLock {
                $0?.reset()
                $0 = nil
            }
            #expect(await eventually { gate.cancelled == 1 })
        }
    }

    @Test("Under the policy that a FIN means gone, a half-closing client gets what its cancelled handler says")
    func halfClosedCancelled() async throws {
        let gate = Gate()
        try await withServer {
            $0.halfClosedClients = .cancel
        } handler: {
            await Self.waiting(for: gate)($0)
        } _: { server in
            let port = server.port
            let status = try await offPool {
                let client = try RawClient(port: port)
                client.send(Self.request)
                client.halfClose()
                return try client.response().status
            }
            #expect(status == 499)
        }
    }

    @Test("A next request already sent does not pass for a departure")
    func pipelinedWhileHandling() async throws {
        let gate = Gate()
        try await withServer(handler: Self.waiting(for: gate)) { server in
            let port = server.port
            let client = try await offPool {
                let client = try RawClient(port: port)
                client.send(Self.request + Self.request)
                return client
            }
            #expect(await eventually { gate.arrivals == 1 })
            gate.open()
            let statuses = try await offPool { [try client.response().status, try client.response().status] }
            #expect(statuses == [200, 200])
            #expect(gate.cancelled == 0)
        }
    }

    @Test("After 10,000 aborted requests, connections, handlers, memory held and descriptors are where they were")
    func tenThousandAborts() async throws {
        let gate = Gate()
        let warnings = Mutex<Set<String>>([])
        try await withServer {
            $0.maximumConnections = 4000
        } handler: {
            await Self.waiting(for: gate)($0)
        } log: { message in
            if !message.tellsOfDeparture { warnings.withLock { _ = $0.insert(message.text) } }
        } _: { server in
            let port = server.port
            let before = descriptors(ofPort: port)
            let workers = 8
            try await withThrowingTaskGroup(of: Void.self) { group in
                for worker in 0..<workers {
                    group.addTask {
                        try await offPool {
                            for index in 0..<(10_000 / workers) { try Self.abort(way: worker + index, port: port) }
                        }
                    }
                }
                try await group.waitForAll()
            }
            #expect(await eventually { server.counters.openConnections == 0 && server.counters.runningHandlers == 0 })
            #expect(await eventually { server.counters.lingeringSockets == 0 })
            let counters = server.counters
            // A few may have been reset before they were accepted.
            #expect(counters.acceptedConnections > 9_900)
            #expect(counters.activeRequests == 0)
            #expect(counters.suspendedConnections == 0)
            #expect(counters.heldBodyBytes == 0)
            #expect(gate.cancelled == gate.arrivals)
            // libmicrohttpd tells that a connection is closed just before it closes the socket.
            #expect(await eventually { descriptors(ofPort: port) == before })
        }
        #expect(warnings.withLock { $0 } == [], "clients that leave are no cause for a warning")
    }

    /// One client that gives up: with its request half sent or complete, by FIN or by RST.
    private static func abort(way: Int, port: Int) throws {
        let client = try RawClient(port: port)
        switch way % 4 {
        case 0: client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\nabc")
        case 1: client.send("GET / HTTP/1.1\r\nHo")
        default: client.send(request)
        }
        if way % 3 == 0 { client.reset() }
    }
}
