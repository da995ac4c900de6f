import HTTPServer
import TestBench
import TestFixtures
import Testing

@Suite("The probe of health checks", .timeLimit(.minutes(10)))
struct StatusProbeTests {
    private func answer(_ destination: ServerAddress) async throws -> String {
        try await offPool {
            do {
                var probe = StatusProbe(destination)
                probe.timeout = .seconds(120)
                return try probe.statusLine(of: "/health")
            } catch {
                return "\(error)"
            }
        }
    }

    @Test("It asks addresses, names, brackets and sockets of the file system, and tells why none answers")
    func asks() async throws {
        let scratch = try Scratch()
        let path = scratch.path("s")
        try await withServer(handler: { _ in .text("", status: 503) }) { server in
            let port = UInt16(server.port)
            for host in ["127.0.0.1", "localhost"] {
                let answer = try await answer(.internet(host: host, port: port))
                #expect(answer.hasPrefix("HTTP/1.1 503"))
            }
        }
        try await withServer {
            $0.address = .unix(path: path)
        } _: { _ in
            let answer = try await answer(.unix(path: path))
            #expect(answer.hasPrefix("HTTP/1.1 200"))
        }
        #expect(try await answer(.unix(path: path)) == "No such file or directory")
        #expect(try await answer(.internet(host: "127.0.0.1", port: 1)) == "Connection refused")
    }

    @Test(
        "Destinations are written as they are asked",
        arguments: [
            (ServerAddress.internet(host: "::1", port: 80), "[::1]:80"),
            (.internet(host: "[::1]", port: 80), "[::1]:80"), (.internet(host: "a", port: 1), "a:1"),
            (.unix(path: "/run/s"), "unix:/run/s"),
        ])
    func descriptions(destination: ServerAddress, text: String) {
        #expect("\(destination)" == text)
    }
}
