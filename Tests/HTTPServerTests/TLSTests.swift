import Foundation
import HTTPServer
import TestBench
import Testing

/// What a shell command printed, and its exit status. Foundation's Process crashes where more than about a thousand
/// descriptors are open, as they are when the suites run side by side.
private func run(_ command: String) throws -> (status: Int32, output: String) {
    let pipe = try #require(popen(command + " 2>/dev/null", "re"))
    var output: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 4096)
    while case let count = fread(&piece, 1, piece.count, pipe), count > 0 { output += piece.prefix(count) }
    return (pclose(pipe) >> 8 & 0xFF, String(decoding: output, as: UTF8.self))
}

private let toolsAreInstalled = ["openssl", "curl"].allSatisfy {
    FileManager.default.isExecutableFile(atPath: "/usr/bin/\($0)")
}

@Suite("TLS", .enabled(if: toolsAreInstalled, "needs openssl and curl"), .timeLimit(.minutes(20)))
struct TLSTests {
    private static func identity() throws -> ServerConfiguration.TLSIdentity {
        let folder = FileManager.default.temporaryDirectory.appending(path: "tls-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let made = try run(
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost "
                + "-keyout \(folder)/key.pem -out \(folder)/certificate.pem")
        #expect(made.status == 0)
        return .init(
            certificatePEM: try String(contentsOfFile: folder + "/certificate.pem", encoding: .utf8),
            privateKeyPEM: try String(contentsOfFile: folder + "/key.pem", encoding: .utf8))
    }

    @Test("curl posts over HTTPS and gets its answers on one connection; too large a body is answered 413")
    func curl() async throws {
        let identity = try Self.identity()
        try await withServer {
            $0.tls = identity
            $0.maximumBodyBytes = 1_000_000
        } _: { server in
            let url = "https://127.0.0.1:\(server.port)/a"
            let texts = try await offPool { try run("curl -ks --data-binary hello \(url) --next -ks \(url)").output }
            #expect(texts == "POST /a  helloGET /a  ")
            #expect(server.counters.acceptedConnections == 1)
            let large = FileManager.default.temporaryDirectory.appending(path: "large-\(UUID().uuidString)").path
            #expect(FileManager.default.createFile(atPath: large, contents: Data(count: 3_000_000)))
            defer { try? FileManager.default.removeItem(atPath: large) }
            for extra in ["", "-H 'Transfer-Encoding: chunked'", "-H Expect:"] {
                let status = try await offPool {
                    try run("curl -ks -o /dev/null -w '%{http_code}' --data-binary @\(large) \(extra) \(url)").output
                }
                #expect(status == "413", "\(extra)")
            }
        }
    }

    @Test(
        "TLS 1.2 and 1.3 are spoken, older versions not",
        arguments: [("-tls1", false), ("-tls1_1", false), ("-tls1_2", true), ("-tls1_3", true)])
    func versions(option: String, isSpoken: Bool) async throws {
        let identity = try Self.identity()
        try await withServer {
            $0.tls = identity
        } _: { server in
            let port = server.port
            let said = try await offPool {
                // Security level 0, so that it isn't this client that refuses.
                try run("echo | openssl s_client \(option) -cipher ALL:@SECLEVEL=0 -connect 127.0.0.1:\(port)").output
            }
            #expect(
                said.contains("Cipher is (NONE)") == !isSpoken && said.contains("New, TLSv1") == isSpoken, "\(said)")
        }
    }

    @Test("A client that leaves during a TLS request cancels its handler; a stop with handshakes pending ends")
    func departure() async throws {
        let identity = try Self.identity()
        let gate = Gate()
        try await withServer {
            $0.tls = identity
        } handler: { _ in
            await gate.pass() ? .text("done") : .text("cancelled", status: 499)
        } _: { server in
            let port = server.port
            let curl = try await offPool { try run("curl -ks https://127.0.0.1:\(port)/ >/dev/null & echo $!").output }
            #expect(await eventually { gate.arrivals == 1 })
            kill(try #require(pid_t(curl.trimmingCharacters(in: .whitespacesAndNewlines))), SIGKILL)
            #expect(await eventually { gate.cancelled == 1 && server.counters.openConnections == 0 })
            let silent = try await offPool { try (0..<5).map { _ in try RawClient(port: port) } }
            #expect(await eventually { server.counters.openConnections == 5 })
            await server.stop()
            #expect(server.counters.openConnections == 0)
            _ = silent
        }
    }

    @Test("An unusable certificate or key is a clear error")
    func unusable() throws {
        let good = try Self.identity()
        let other = try Self.identity()
        for identity in [
            ServerConfiguration.TLSIdentity(certificatePEM: "not PEM", privateKeyPEM: good.privateKeyPEM),
            .init(certificatePEM: good.certificatePEM, privateKeyPEM: ""),
            .init(certificatePEM: good.certificatePEM, privateKeyPEM: other.privateKeyPEM),
        ] {
            var configuration = ServerConfiguration()
            configuration.tls = identity
            let server = try Server(configuration: configuration, handler: echo)
            #expect { try server.start() } throws: { error in
                if case .tls = error as? ServerError { true } else { false }
            }
        }
    }
}
