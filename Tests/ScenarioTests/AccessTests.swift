import Foundation
import TestBench
import TestFixtures
import Testing

/// Whether there is what makes certificates and asks over TLS.
let toolsAreInstalled = ["openssl", "curl"].allSatisfy {
    FileManager.default.isExecutableFile(atPath: "/usr/bin/\($0)")
}

/// What a shell command printed.
func shell(_ command: String) async throws -> String {
    try await offPool {
        let pipe = try #require(popen(command + " 2>/dev/null", "re"))
        var output: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 4096)
        while case let count = fread(&piece, 1, piece.count, pipe), count > 0 { output += piece.prefix(count) }
        pclose(pipe)
        return String(decoding: output, as: UTF8.self)
    }
}

@Suite(
    "The running service's keys and TLS, asked by curl", .enabled(if: toolsAreInstalled, "needs openssl and curl"),
    .timeLimit(.minutes(20)))
struct AccessTests {
    private let scratch: Scratch
    private let model: String
    private let photo = TestFixtures.path("images/rgb-32x32.jpg")

    init() throws {
        scratch = try Scratch()
        model = scratch.path("a.safetensors")
        try TinyModel.write(to: model, name: "a", seed: 1)
    }

    /// The status that curl got, with further arguments.
    private func status(_ arguments: String) async throws -> String {
        try await shell("curl -s -o /dev/null -w '%{http_code}' \(arguments)")
    }

    @Test("With --api-key-file every public route but health and the API's documents asks for one of the keys")
    func apiKeys() async throws {
        let keys = try scratch.write(Array("# for tests\nfirst-key\nsecond-key\n".utf8), to: "keys")
        try await RunningService.serve(["--model", model, "--api-key-file", keys]) { service async throws in
            let url = "http://127.0.0.1:\(service.client.port)"
            for path in ["/embed", "/classify"] {
                let post = "--data-binary @\(photo) \(url)\(path)"
                #expect(try await status(post) == "401")
                #expect(try await status("-H 'Authorization: Bearer wrong' \(post)") == "401")
                #expect(try await status("-H 'Authorization: Bearer # for tests' \(post)") == "401")
                #expect(try await status("-H 'Authorization: Bearer first-key' \(post)") == "200")
                #expect(try await status("-H 'Authorization: Bearer second-key' \(post)") == "200")
            }
            for path in ["/model", "/version"] { #expect(try await status(url + path) == "401") }
            for path in ["/openapi.yaml", "/api.md"] { #expect(try await status(url + path) == "200") }
            for path in ["live", "ready", "startup"] { #expect(try await status("\(url)/health/\(path)") == "200") }
        }
    }

    /// Makes a certificate for this machine that certifies itself, and its key, in place of those there.
    private func makeIdentity(_ certificate: String, _ key: String) async throws {
        _ = try await shell(
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost "
                + "-addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout \(key) -out \(certificate)")
    }

    @Test("SIGHUP puts certificate, API keys and admin token in the place of the former, each whole or not at all")
    func reload() async throws {
        let (certificate, key) = (scratch.path("certificate.pem"), scratch.path("key.pem"))
        try await makeIdentity(certificate, key)
        let former = scratch.path("former.pem")
        try FileManager.default.copyItem(atPath: certificate, toPath: former)
        let keys = try scratch.write(Array("former-key-of-16-bytes\n".utf8), to: "keys")
        let token = try scratch.write(Array("former-token-of-16-bytes\n".utf8), to: "token")
        let arguments = [
            "--model", model, "--tls-certificate", certificate, "--tls-key", key, "--api-key-file", keys,
            "--admin-token-file", token,
        ]
        func count(_ service: RunningService, _ what: String, _ outcome: String, token: String) async throws -> Bool {
            let text = try await service.admin.ask("GET", "/metrics", headers: ["X-API-Key": token]).text
            return text.contains("headwater_reloads_total{what=\"\(what)\",outcome=\"\(outcome)\"} 1\n")
        }
        try await RunningService.serve(arguments) { service async throws in
            let url = "https://127.0.0.1:\(service.client.port)/version"
            func ask(_ certificate: String, _ key: String) async throws -> String {
                try await status("--cacert \(certificate) -H 'X-API-Key: \(key)' \(url)")
            }
            #expect(try await ask(former, "former-key-of-16-bytes") == "200")
            try await makeIdentity(certificate, key)
            try scratch.write(Array("latter-key-of-16-bytes\n".utf8), to: "keys")
            // Nothing that could be used: the former token stays.
            try scratch.write(Array("# none\n".utf8), to: "token")
            service.run.signal(SIGHUP)
            #expect(
                try await eventually {
                    try await count(service, "model", "unchanged", token: "former-token-of-16-bytes")
                })
            #expect(try await ask(certificate, "latter-key-of-16-bytes") == "200")
            #expect(try await ask(certificate, "former-key-of-16-bytes") == "401")
            #expect(try await ask(former, "latter-key-of-16-bytes") == "000")
            for (what, outcome) in [("certificate", "changed"), ("api_keys", "changed"), ("admin_token", "failed")] {
                #expect(try await count(service, what, outcome, token: "former-token-of-16-bytes"), "\(what)")
            }
            let metrics = try await service.admin.ask(
                "GET", "/metrics", headers: ["X-API-Key": "former-token-of-16-bytes"])
            #expect(metrics.text.contains("headwater_certificate_expiry_seconds{listener=\"public\"} "))
            let lines = service.log.lines
            #expect(lines.contains { $0.contains("\"what\":\"certificate\",\"outcome\":\"changed\",\"expires\":\"2") })
            #expect(lines.contains { $0.contains("not reloaded") && $0.contains("\"what\":\"admin_token\"") })
        }
    }

    @Test(
        "On sockets of the file system the program is asked by curl and headwater health, and removes them at its end")
    func unixSockets() async throws {
        let (socket, admin) = (scratch.path("s"), scratch.path("a"))
        let (run, errors) = try BuiltProgram.start([
            "serve", "--model", model, "--host", "unix:\(socket)", "--admin-host", "unix:\(admin)", "--log-format",
            "json",
        ])
        let log = ServiceLog(reading: errors, keepingRequests: true)
        #expect(await eventually { log.line("ready") != nil || run.hasEnded })
        let ready = log.line("ready")
        #expect(ready?["url"] as? String == "unix:\(socket)" && ready?["admin_url"] as? String == "unix:\(admin)")
        #expect(try await status("--unix-socket \(socket) --data-binary @\(photo) http://localhost/embed") == "200")
        #expect(try await status("--unix-socket \(admin) http://localhost/metrics") == "200")
        #expect(log.lines.contains { $0.contains(#""client":"unix""#) })
        for path in [socket, admin] {
            let health = try await BuiltProgram.run(["health", "--host", "unix:\(path)"])
            #expect(health.status == 0 && health.output == "ready\n", "\(health)")
        }
        run.signal(SIGTERM)
        #expect(await run.wait() == .exited(status: 0))
        #expect(try scratch.names() == ["a.safetensors"])
        let health = try await BuiltProgram.run(["health", "--host", "unix:\(socket)"])
        #expect(health.status == 1 && health.errors.contains(socket), "\(health)")
    }

    @Test("Sockets that are passed as systemd does are served, whatever --host and --port say")
    func activation() async throws {
        // A supervisor in Python: listens, and becomes the program with the sockets as descriptors 3 and 4.
        let supervisor = try scratch.write(
            Array(
                """
                import os, socket, sys
                listeners = [socket.create_server(("127.0.0.1", 0), backlog=8) for _ in range(2)]
                copies = [os.dup(listener.fileno()) for listener in listeners]
                high = [os.dup2(copy, 20 + index) for index, copy in enumerate(copies)]
                for index, descriptor in enumerate(high):
                    os.dup2(descriptor, 3 + index)
                os.environ |= {"LISTEN_FDS": "2", "LISTEN_PID": str(os.getpid()), "LISTEN_FDNAMES": "public:admin"}
                print(*(listener.getsockname()[1] for listener in listeners), file=sys.stderr, flush=True)
                os.execv(sys.argv[1], sys.argv[1:])
                """.utf8), to: "supervisor.py")
        let (run, errors) = try BuiltProgram.start(
            ["serve", "--model", model, "--host", "192.0.2.1", "--log-format", "json"],
            after: "exec python3 \(supervisor) \"$0\" \"$@\"")
        let log = ServiceLog(reading: errors)
        #expect(await eventually { log.line("ready") != nil || run.hasEnded })
        let ports = try #require(log.lines.first).split(separator: " ").compactMap { Int($0) }
        #expect(ports.count == 2)
        #expect(log.line("ready")?["url"] as? String == "http://127.0.0.1:\(ports[0])", "\(log.lines)")
        #expect(try await PortClient(port: ports[0]).ask("GET", "/version").status == 200)
        #expect(try await PortClient(port: ports[1]).ask("GET", "/metrics").status == 200)
        run.signal(SIGTERM)
        #expect(await run.wait() == .exited(status: 0))
    }

    @Test("With --tls-certificate and --tls-key curl, trusting the certificate, gets its answers, and plain HTTP none")
    func tls() async throws {
        let (certificate, key) = (scratch.path("certificate.pem"), scratch.path("key.pem"))
        try await makeIdentity(certificate, key)
        let arguments = ["--model", model, "--tls-certificate", certificate, "--tls-key", key]
        try await RunningService.serve(arguments) { service async throws in
            let address = "127.0.0.1:\(service.client.port)"
            #expect((service.log.line("ready")?["url"] as? String)?.hasPrefix("https://") == true)
            let post = "--data-binary @\(photo) https://\(address)/embed"
            #expect(try await status("--cacert \(certificate) \(post)") == "200")
            #expect(try await status(post) == "000", "a certificate that isn't trusted")
            #expect(try await status("http://\(address)/version") != "200")
            let answer = try await shell("curl -s --cacert \(certificate) https://\(address)/version")
            #expect(answer.contains("headwater"))
            let port = "\(service.client.port)"
            for trust in [[], ["--tls-ca", certificate]] {
                let health = try await BuiltProgram.run(["health", "--tls", "--port", port] + trust)
                #expect(health.status == 0 && health.output == "ready\n", "\(trust): \(health)")
            }
            let unnamed = ["health", "--tls", "--port", port, "--tls-ca", certificate, "--tls-name", "example.org"]
            #expect(try await BuiltProgram.run(unnamed).status == 1)
        }
    }
}
