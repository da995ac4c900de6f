import CMicroHTTPD
import Foundation
import HTTPServer
import Synchronization
import TestBench
import Testing

@Suite("Requests and their answers", .timeLimit(.minutes(20)))
struct ExchangeTests {
    @Test("GET, POST, and a decoded query reach the handler; the connection is kept")
    func keepAlive() async throws {
        try await withServer { server in
            let port = server.port
            let texts = try await offPool {
                let client = try RawClient(port: port)
                return [
                    try client.exchange("GET /a%20b?x=1&y HTTP/1.1\r\nHost: h\r\n\r\n").text,
                    try client.exchange("POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello").text,
                    try client.exchange("DELETE /d HTTP/1.1\r\nHost: h\r\n\r\n").text,
                ]
            }
            #expect(texts == ["GET /a b x=1&y=nil ", "POST /p  hello", "DELETE /d  "])
            #expect(server.counters.acceptedConnections == 1)
        }
    }

    @Test("HEAD is answered as GET, without the body but with its length")
    func head() async throws {
        try await withServer { server in
            let port = server.port
            let (head, after) = try await offPool {
                let client = try RawClient(port: port)
                client.send("HEAD /x HTTP/1.1\r\nHost: h\r\n\r\nGET /y HTTP/1.1\r\nHost: h\r\n\r\n")
                return (try client.response(toHead: true), try client.response())
            }
            #expect(head.status == 200)
            #expect(head.headers["Content-Length"] == "\("GET /x  ".utf8.count)")
            #expect(after.text == "GET /y  ")
        }
    }

    @Test("Pipelined requests are answered in order")
    func pipelining() async throws {
        try await withServer { server in
            let port = server.port
            let texts = try await offPool {
                let client = try RawClient(port: port)
                client.send((0..<50).map { "POST /\($0) HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab" }.joined())
                return try (0..<50).map { _ in try client.response().text }
            }
            #expect(texts == (0..<50).map { "POST /\($0)  ab" })
        }
    }

    @Test("A chunked body arrives whole, its trailers dropped")
    func chunked() async throws {
        try await withServer { server in
            let port = server.port
            let response = try await offPool {
                try RawClient(port: port).exchange(
                    "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                        + "5\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\nX-Trailer: t\r\n\r\n")
            }
            #expect(response.text == "POST /  hello world")
        }
    }

    @Test("A chunk extension is dropped or, by libmicrohttpd 1, refused; the body is never taken wrongly")
    func chunkExtension() async throws {
        try await withServer { server in
            let port = server.port
            let response = try await offPool {
                try RawClient(port: port).exchange(
                    "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5;x=1\r\nhello\r\n0\r\n\r\n")
            }
            // 1.0.0 leaves the line's end of an extension to the chunk's data, and then misses the data's own end. 1.0.10 doesn't.
            let isDropped = response.status == 200 && response.text == "POST /  hello"
            let mayRefuse = !String(cString: MHD_get_version()).hasPrefix("0.")
            #expect(isDropped || mayRefuse && response.status == 400, "\(response.text)")
        }
    }

    @Test("A client that sends Expect: 100-continue gets 100 Continue and then its answer")
    func expectContinue() async throws {
        try await withServer { server in
            let port = server.port
            let response = try await offPool {
                let client = try RawClient(port: port)
                client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
                client.send("ok")
                return try client.response()
            }
            #expect(response.text == "POST /  ok")
        }
    }

    @Test(
        "Connection: close is honoured from either side, and HTTP/1.0 closes",
        arguments: [
            "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", "GET /close HTTP/1.1\r\nHost: h\r\n\r\n",
            "GET / HTTP/1.0\r\n\r\n",
        ])
    func close(request: String) async throws {
        let handler: Handler = { request in
            Response(headers: request.head.path == "/close" ? ["Connection": "close"] : [:], body: Array("bye".utf8))
        }
        try await withServer(handler: handler) { server in
            let port = server.port
            let received = try await offPool {
                let client = try RawClient(port: port)
                client.send(request)
                return String(decoding: client.readToEnd(), as: UTF8.self)
            }
            #expect(received.hasPrefix("HTTP/1.1 200"))
            #expect(received.hasSuffix("\r\n\r\nbye"))
        }
    }

    @Test("A response with an injected header becomes a logged 500")
    func headerInjection() async throws {
        let messages = Mutex<[String]>([])
        let handler: Handler = { _ in Response(headers: ["Location": "/x\r\nSet-Cookie: stolen=1"]) }
        try await withServer(handler: handler, log: { message in messages.withLock { $0.append(message.text) } }) {
            server in
            let port = server.port
            let response = try await offPool { try RawClient(port: port).exchange("GET / HTTP/1.1\r\nHost: h\r\n\r\n") }
            #expect(response.status == 500)
            #expect(response.text.contains("cannot be sent"), "in the application's words for what the server refuses")
            #expect(response.headers["Set-Cookie"] == nil)
        }
        #expect(messages.withLock { $0.contains { $0.contains("Location") } })
    }

    @Test(
        "A head with a malformed path or doubtful framing is answered 400 and the connection closed",
        arguments: [
            "GET /%00 HTTP/1.1\r\nHost: h\r\n\r\n", "GET /%ff HTTP/1.1\r\nHost: h\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -3\r\n\r\nabc",
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3x\r\n\r\nabc",
            "GET / HTTP/1.1\r\nHost: h\r\nno colon\r\n\r\n", "GET / HTTP/1.1\r\nno colon\r\nHost: h\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: h\r\nno colon\r\nX: 1\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        ])
    func badRequest(request: String) async throws {
        try await withServer { server in
            let port = server.port
            let response = try await offPool { try RawClient(port: port).exchange(request) }
            #expect(response.status == 400)
        }
    }

    @Test(
        "What the server itself can refuse it refuses in its own words, not with the library's page",
        arguments: [
            ("GET / HTTP/1.1\r\n\r\n", "there is no Host header"),
            ("GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", "it contains a space"),
            ("GET / HTTP/1.1 HTTP/1.1\r\nHost: h\r\n\r\n", "it contains a space"),
            ("GET /%00 HTTP/1.1\r\nHost: h\r\n\r\n", "it contains %00"),
            ("GET / HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n", "more than one Host"),
            ("GET / HTTP/1.1\r\nHost: h\r\nX y: 1\r\n\r\n", "not a token"),
            ("GET / HTTP/1.1\r\nHost: h\r\nX : 1\r\n\r\n", "not a token"),
            ("GET / HTTP/1.1\r\n X: 1\r\nHost: h\r\n\r\n", "not a token"),
            ("GET / HTTP/1.1\r\nHost: h\r\nX: 1\rY: 2\r\n\r\n", "not a token"),
            ("G\u{301}\u{323}T / HTTP/1.1\r\nHost: h\r\n\r\n", "the method is not a token"),
        ])
    func ownWords(request: String, reason: String) async throws {
        try await withServer { server in
            let port = server.port
            let received = try await offPool {
                let client = try RawClient(port: port)
                client.send(request)
                client.halfClose()
                return String(decoding: client.readToEnd(), as: UTF8.self)
            }
            #expect(received.hasPrefix("HTTP/1.1 400"))
            #expect(received.components(separatedBy: "HTTP/1.1 ").count == 2, "one head: \(received)")
            #expect(received.contains(reason) && !received.contains("<html>"), "\(received)")
        }
    }

    @Test("A target whose raw bytes aren't UTF-8 is refused, not mended")
    func notText() async throws {
        try await withServer { server in
            let port = server.port
            let response = try await offPool {
                let client = try RawClient(port: port)
                client.send(Array("GET /".utf8) + [0xFF] + Array(" HTTP/1.1\r\nHost: h\r\n\r\n".utf8))
                return try client.response()
            }
            #expect(response.status == 400 && response.text.contains("not UTF-8"))
        }
    }

    @Test("A request is refused from its head; a short body is read and the connection kept, a long one is not read")
    func rejected() async throws {
        let admit: @Sendable (RequestHead) -> Admission<Void> = { head in
            head.path == "/none"
                ? .refused(.text("no such path", status: 404)) : .accepted((), .memory(maximumBytes: 1 << 20))
        }
        try await withServer(admit: admit) { server in
            let port = server.port
            let (kept, closed) = try await offPool {
                let client = try RawClient(port: port)
                let kept = [
                    try client.exchange("GET /none HTTP/1.1\r\nHost: h\r\n\r\n").status,
                    try client.exchange("POST /none HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc").status,
                    try client.exchange("GET /some HTTP/1.1\r\nHost: h\r\n\r\n").status,
                ]
                let closed = try client.exchange("POST /none HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n")
                return (kept, closed)
            }
            #expect(kept == [404, 404, 200])
            #expect(closed.status == 404)
            #expect(closed.headers["Connection"] == "close")
        }
    }

    @Test(
        "A body for a file is streamed into it; the file goes with its request unless it was renamed",
        arguments: [false, true])
    func spooled(keeps: Bool) async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "http-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let handler: Handler = { request in
            guard case .file(let path, let count) = request.body else { return .text("not a file", status: 500) }
            let content = FileManager.default.contents(atPath: path) ?? Data()
            if keeps { rename(path, folder + "/kept") }
            return .text("\(count) \(content.count)")
        }
        let admit: @Sendable (RequestHead) -> Admission<Void> = { _ in
            .accepted((), .file(directory: folder, maximumBytes: 4 << 20, timeout: .seconds(60)))
        }
        try await withServer(handler: handler, admit: admit) { server in
            let port = server.port
            let text = try await offPool {
                let client = try RawClient(port: port)
                client.send("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 3000000\r\n\r\n")
                client.send([UInt8](repeating: 7, count: 3_000_000))
                return try client.response().text
            }
            #expect(text == "3000000 3000000")
            #expect(server.counters.heldBodyBytes == 0)
            #expect(await eventually { server.counters.activeRequests == 0 })
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == (keeps ? ["kept"] : []))
    }

    @Test("A body for a file in a folder that is gone is refused with 507, from the head")
    func noFolder() async throws {
        let admit: @Sendable (RequestHead) -> Admission<Void> = { _ in
            .accepted((), .file(directory: "/nonexistent", maximumBytes: 4 << 20, timeout: .seconds(60)))
        }
        try await withServer(admit: admit) { server in
            let port = server.port
            let answer = try await offPool {
                try RawClient(port: port).exchange("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n")
            }
            #expect(answer.status == 507 && answer.text.contains("No such file or directory"))
        }
    }

    @Test("Every request's end is told once, with sizes and times")
    func observed() async throws {
        let records = Mutex<[ExchangeRecord]>([])
        try await withServer(observe: { record in records.withLock { $0.append(record) } }) { server in
            let port = server.port
            _ = try await offPool {
                try RawClient(port: port).exchange(
                    "POST /p?q HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nX-Request-Id: 7\r\n\r\nhello")
            }
            #expect(await eventually { records.withLock { !$0.isEmpty } })
        }
        let record = try #require(records.withLock { $0.count == 1 ? $0[0] : nil })
        #expect(record.method == "POST")
        #expect(record.remoteAddress == "127.0.0.1")
        #expect(record.status == 200)
        #expect(record.requestBytes == 5)
        #expect(record.responseBytes == "POST /p q=nil hello".utf8.count)
        #expect(record.outcome == .completed)
        #expect(record.receiving >= .zero && record.handling > .zero && record.writing > .zero)
    }

    @Test(
        "The record of a HEAD request says that no body byte was sent, whether it was accepted or refused",
        arguments: ["/x", "/%"])
    func observedHead(target: String) async throws {
        let records = Mutex<[ExchangeRecord]>([])
        try await withServer(observe: { record in records.withLock { $0.append(record) } }) { server in
            let port = server.port
            let length = try await offPool {
                let client = try RawClient(port: port)
                client.send("HEAD \(target) HTTP/1.1\r\nHost: h\r\n\r\n")
                return try client.response(toHead: true).headers["Content-Length"]
            }
            #expect(length.flatMap { Int($0) } ?? 0 > 0)
            #expect(await eventually { records.withLock { !$0.isEmpty } })
        }
        #expect(records.withLock { $0.map(\.method) } == ["HEAD"])
        #expect(records.withLock { $0.map(\.responseBytes) } == [0])
    }

    @Test("Addresses: IPv6, every address, and a port that is taken")
    func addresses() async throws {
        for host in ["*", "127.0.0.1", "localhost"] {
            try await withServer {
                $0.address = ListenAddress(host)
            } _: { server in
                let port = server.port
                let response = try await offPool {
                    try RawClient(port: port).exchange("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
                }
                #expect(response.status == 200)
                var second = ServerConfiguration()
                second.address = ListenAddress(host)
                second.port = UInt16(port)
                let other = try Server(configuration: second, handler: echo)
                #expect { try other.start() } throws: { "\($0)".contains("in use") && "\($0)".contains("\(port)") }
            }
        }
        var nowhere = ServerConfiguration()
        nowhere.address = .host("192.0.2.1")
        let server = try Server(configuration: nowhere, handler: echo)
        #expect { try server.start() } throws: { "\($0)".contains("192.0.2.1") }
    }

    @Test("Concurrent clients on several connections each get their own answers")
    func hammer() async throws {
        try await withServer {
            $0.threads = 4
        } _: { server in
            let port = server.port
            let wrong = try await withThrowingTaskGroup(of: Int.self) { group in
                for worker in 0..<8 {
                    group.addTask {
                        try await offPool {
                            let client = try RawClient(port: port)
                            return try (0..<250).count { index in
                                let body = String(repeating: "\(worker)-\(index).", count: 1 + index % 50)
                                let text = try client.exchange(
                                    "POST /\(worker)/\(index) HTTP/1.1\r\nHost: h\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
                                ).text
                                return text != "POST /\(worker)/\(index)  \(body)"
                            }
                        }
                    }
                }
                return try await group.reduce(0, +)
            }
            #expect(wrong == 0)
            #expect(await eventually { server.counters.endedRequests == 2000 })
        }
    }
}
