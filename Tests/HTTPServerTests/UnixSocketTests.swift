import Foundation
import HTTPServer
import Synchronization
import TestBench
import TestFixtures
import Testing

@Suite("Sockets of the file system, and those that are passed", .timeLimit(.minutes(10)))
struct UnixSocketTests {
    private static let request = "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"
    private let scratch: Scratch
    private let path: String

    init() throws {
        scratch = try Scratch()
        path = scratch.path("s")
    }

    private func configuration(_ path: String, permissions: UInt32 = 0o660) -> ServerConfiguration {
        var configuration = ServerConfiguration()
        configuration.address = .unix(path: path)
        configuration.socketPermissions = permissions
        return configuration
    }

    private func mode(_ path: String) -> UInt32? {
        var status = stat()
        return lstat(path, &status) == 0 ? status.st_mode & 0o7777 : nil
    }

    /// The error that a start is refused with.
    private func refusal(_ configuration: ServerConfiguration) async throws -> String {
        let server = try Server(configuration: configuration, handler: echo)
        do {
            try server.start()
            await server.stop()
            return ""
        } catch {
            return "\(error)"
        }
    }

    @Test("It is served with its permissions, its clients are called unix, and stopping removes it")
    func serves() async throws {
        let records = Mutex<[ExchangeRecord]>([])
        try await withServer {
            $0.address = .unix(path: path)
            $0.socketPermissions = 0o606
        } observe: { record in
            records.withLock { $0.append(record) }
        } _: { server in
            #expect(mode(path) == 0o606)
            #expect(server.address == .unix(path: path) && server.port == 0)
            #expect(server.address?.url(scheme: "http") == "unix:\(path)")
            let path = path
            let texts = try await offPool {
                let client = try RawClient(unixSocket: path)
                return try (0..<2).map { _ in try client.exchange(Self.request).text }
            }
            #expect(texts == ["POST /a  hello", "POST /a  hello"])
            #expect(await eventually { records.withLock { $0.count } == 2 })
        }
        #expect(records.withLock { $0.map(\.remoteAddress) } == ["unix", "unix"])
        #expect(mode(path) == nil)
    }

    @Test("A client that leaves cancels its handler, and one that only stops sending gets its answer")
    func departures() async throws {
        let gate = Gate()
        try await withServer {
            $0.address = .unix(path: path)
        } handler: { request in
            if request.head.path == "/half" { return .text("whole") }
            return await gate.pass() ? .text("done") : .text("cancelled", status: 499)
        } _: { _ in
            let path = path
            var client: RawClient? = try await offPool { try RawClient(unixSocket: path) }
            client?.send(Self.request)
            #expect(await eventually { gate.arrivals == 1 })
            client = nil
            #expect(await eventually { gate.cancelled == 1 })
            let text = try await offPool {
                let client = try RawClient(unixSocket: path)
                client.send("GET /half HTTP/1.1\r\nHost: h\r\n\r\n")
                client.halfClose()
                return try client.response().text
            }
            #expect(text == "whole")
        }
    }

    @Test("A file that a killed process left is replaced; a living server's isn't, and outlives the attempt")
    func stale() async throws {
        let left = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(left, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        try #require(bound == 0)
        close(left)
        try await withServer {
            $0.address = .unix(path: path)
        } _: { _ in
            let refused = try await refusal(configuration(path))
            #expect(refused.contains(path) && refused.contains("in use"), "\(refused)")
            let path = path
            #expect(try await offPool { try RawClient(unixSocket: path).exchange(Self.request).status } == 200)
        }
    }

    @Test("A server that stops leaves the file alone that another one has put in its place")
    func replaced() async throws {
        try await withServer {
            $0.address = .unix(path: path)
        } _: { _ in
            try FileManager.default.removeItem(atPath: path)
            try scratch.write(Array("another".utf8), to: "s")
        }
        #expect(try scratch.names() == ["s"])
    }

    @Test("What can't be listened on is named with its cause, and left as it is")
    func refusals() async throws {
        let file = try scratch.write(Array("text".utf8), to: "file")
        let long = scratch.path(String(repeating: "x", count: 120))
        for (path, cause) in [
            (file, "is not a socket"), (long, "107"), ("relative", "absolute"),
            (scratch.path("missing/s"), "does not exist"),
        ] {
            let refused = try await refusal(configuration(path))
            #expect(refused.contains(path) && refused.contains(cause), "\(refused)")
        }
        #expect(try String(contentsOfFile: file, encoding: .utf8) == "text")
    }

    /// A socket of another's making that listens on a free port, or on none.
    private func passedSocket(listens: Bool = true) throws -> Int32 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        try #require(bound == 0)
        if listens { try #require(listen(descriptor, 16) == 0) }
        return descriptor
    }

    @Test("A passed socket is served; clients that connect after the stop wait for the next server")
    func passed() async throws {
        let kept = try passedSocket()
        defer { close(kept) }
        var waiting: RawClient?
        for round in 0..<2 {
            try await withServer {
                $0.inheritedSocket = dup(kept)
                $0.address = .host("192.0.2.1")
            } _: { server in
                let (port, former) = (server.port, waiting)
                #expect(server.address == .internet(host: "127.0.0.1", port: UInt16(port)))
                let status = try await offPool {
                    try (former?.response() ?? RawClient(port: port).exchange(Self.request)).status
                }
                #expect(status == 200, "round \(round)")
                if round == 0 {
                    await server.stop()
                    waiting = try await offPool {
                        let client = try RawClient(port: port)
                        client.send(Self.request)
                        return client
                    }
                }
            }
        }
    }

    @Test("A passed descriptor that doesn't listen, or is no socket, is refused")
    func wrongPassed() async throws {
        var configuration = ServerConfiguration()
        configuration.inheritedSocket = try passedSocket(listens: false)
        let deaf = try await refusal(configuration)
        #expect(deaf.contains("does not listen"))
        configuration.inheritedSocket = open("/dev/null", O_RDONLY)
        let other = try await refusal(configuration)
        #expect(other.contains("not a socket"))
    }

    @Test(
        "Addresses are written as they are asked",
        arguments: [
            (ServerAddress.internet(host: "127.0.0.1", port: 80), "http://127.0.0.1:80", true),
            (.internet(host: "::1", port: 8080), "http://[::1]:8080", true),
            (.internet(host: "2001:db8::1", port: 1), "http://[2001:db8::1]:1", false),
            (.internet(host: "::", port: 1), "http://localhost:1", false),
            (.internet(host: "0.0.0.0", port: 1), "http://localhost:1", false),
            (.unix(path: "/run/s"), "unix:/run/s", true),
        ])
    func urls(address: ServerAddress, url: String, isLocal: Bool) {
        #expect(address.url(scheme: "http") == url)
        #expect(address.isLocal == isLocal)
    }
}
