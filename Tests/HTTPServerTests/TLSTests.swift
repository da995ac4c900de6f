import Foundation
import HTTPServer
import Synchronization
import TestBench
import TestFixtures
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
    /// A certificate for 127.0.0.1 that certifies itself, and its key.
    private static func identity() throws -> ServerConfiguration.TLSIdentity {
        let folder = FileManager.default.temporaryDirectory.appending(path: "tls-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let made = try run(
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost "
                + "-addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout \(folder)/key.pem -out \(folder)/certificate.pem"
        )
        #expect(made.status == 0)
        return .init(
            certificatePEM: try String(contentsOfFile: folder + "/certificate.pem", encoding: .utf8),
            privateKeyPEM: try String(contentsOfFile: folder + "/key.pem", encoding: .utf8))
    }

    @Test("curl posts over HTTPS and gets its answers on one connection; too large a body is answered 413")
    func curl() async throws {
        let identity = try Self.identity()
        try await withServer({ $0.tls = identity }, maximumBodyBytes: 1_000_000) { server in
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

    @Test("An unusable certificate or key is an error that says which and why, at the start and when it is replaced")
    func unusable() async throws {
        let good = try Self.identity()
        let other = try Self.identity()
        let scratch = try Scratch()
        let plain = try scratch.write(Array(good.privateKeyPEM.utf8), to: "key")
        let encrypted = try run("openssl pkey -in \(plain) -aes256 -passout pass:secret").output
        let cases = [
            (
                ServerConfiguration.TLSIdentity(certificatePEM: "not PEM", privateKeyPEM: good.privateKeyPEM),
                "certificate can't"
            ),
            (.init(certificatePEM: good.privateKeyPEM, privateKeyPEM: good.certificatePEM), "certificate can't"),
            (.init(certificatePEM: good.certificatePEM, privateKeyPEM: ""), "key can't"),
            (.init(certificatePEM: good.certificatePEM, privateKeyPEM: encrypted), "encrypted"),
            (.init(certificatePEM: good.certificatePEM, privateKeyPEM: other.privateKeyPEM), "does not belong"),
        ]
        try await withServer {
            $0.tls = good
        } _: { running in
            let expiry = running.counters.certificateExpiry
            for (identity, cause) in cases {
                var configuration = ServerConfiguration()
                configuration.tls = identity
                let server = try Server(configuration: configuration, handler: echo)
                let attempts: [() throws -> Void] = [
                    { try server.start() }, { _ = try running.replaceIdentity(identity) },
                ]
                for attempt in attempts {
                    #expect { try attempt() } throws: { error in
                        guard case .tls(let text) = error as? ServerError else { return false }
                        return text.contains(cause)
                    }
                }
            }
            #expect(running.counters.certificateExpiry == expiry)
            let port = running.port
            #expect(try await offPool { try run("curl -ks https://127.0.0.1:\(port)/").output } == "GET /  ")
        }
    }

    @Test("Another certificate is presented from the next handshake on; an open connection goes on under the former")
    func replacement() async throws {
        let (former, latter) = (try Self.identity(), try Self.identity())
        let scratch = try Scratch()
        let formerFile = try scratch.write(Array(former.certificatePEM.utf8), to: "former.pem")
        let latterFile = try scratch.write(Array(latter.certificatePEM.utf8), to: "latter.pem")
        let running = Mutex<Server?>(nil)
        let replacing: Handler = { request in
            guard request.head.path == "/replace" else { return await echo(request) }
            let isChanged = try? running.withLock { $0 }?.replaceIdentity(latter)
            return .text("\(isChanged ?? false)")
        }
        try await withServer {
            $0.tls = former
        } handler: { request in
            await replacing(request)
        } _: { server in
            running.withLock { $0 = server }
            let url = "https://127.0.0.1:\(server.port)"
            let both = try await offPool {
                try run("curl -s --cacert \(formerFile) \(url)/replace --next -s --cacert \(formerFile) \(url)/a")
                    .output
            }
            #expect(both == "trueGET /a  ")
            #expect(server.counters.acceptedConnections == 1)
            let (stale, fresh) = try await offPool {
                (
                    try run("curl -s --cacert \(formerFile) \(url)/a"),
                    try run("curl -s --cacert \(latterFile) \(url)/a")
                )
            }
            // 60: the certificate isn't one of those trusted.
            #expect(stale.status == 60 && stale.output.isEmpty)
            #expect(fresh.status == 0 && fresh.output == "GET /a  ")
            let again = try await offPool { try run("curl -s --cacert \(latterFile) \(url)/replace").output }
            #expect(again == "false", "the same certificate again")
            let end = try run("date -d \"$(openssl x509 -noout -enddate -in \(latterFile) | cut -d= -f2)\" +%s").output
            #expect(server.counters.certificateExpiry == Int64(end.trimmingCharacters(in: .whitespacesAndNewlines)))
            running.withLock { $0 = nil }
        }
    }

    @Test("Certificates are replaced while handshakes go on, and each handshake succeeds")
    func replacementUnderLoad() async throws {
        let identities = [try Self.identity(), try Self.identity()]
        try await withServer {
            $0.tls = identities[0]
        } _: { server in
            let port = server.port
            let answers = Task {
                try await offPool {
                    try run(
                        "curl -ks --no-keepalive -Z --parallel-max 4 'https://127.0.0.1:\(port)/[1-40]' -H 'Connection: close'"
                    )
                    .output
                }
            }
            var replaced = 1
            while server.counters.endedRequests < 40, replaced < 10_000 {
                try server.replaceIdentity(identities[replaced % 2])
                replaced += 1
                await Task.yield()
            }
            #expect(try await answers.value.components(separatedBy: "GET").count == 41)
            #expect(replaced > 1)
        }
    }

    @Test("The probe checks the certificate only if it is told whom to trust, and says what is wrong")
    func probe() async throws {
        let (own, other) = (try Self.identity(), try Self.identity())
        try await withServer {
            $0.tls = own
        } _: { server in
            let destination = ServerAddress.internet(host: "127.0.0.1", port: UInt16(server.port))
            /// Whether the answer, or why there is none, has that text in it.
            func says(_ text: String, name: String = "localhost", trusting: String?) async throws -> Bool {
                try await offPool {
                    do {
                        var probe = StatusProbe(destination, tls: .init(name: name, trustedPEM: trusting))
                        probe.timeout = .seconds(120)
                        return try probe.statusLine(of: "/a").contains(text)
                    } catch {
                        return "\(error)".contains(text)
                    }
                }
            }
            #expect(try await says("HTTP/1.1 200", trusting: nil))
            #expect(try await says("HTTP/1.1 200", name: "127.0.0.1", trusting: own.certificatePEM))
            #expect(try await says("HTTP/1.1 200", trusting: own.certificatePEM))
            #expect(try await says("The name in the certificate", name: "example.org", trusting: own.certificatePEM))
            #expect(try await says("NOT trusted", trusting: other.certificatePEM))
            let plain = try await offPool { try? StatusProbe(destination).statusLine(of: "/a") }
            #expect(plain == nil, "plain HTTP")
        }
    }
}
