import Foundation
import TestBench
import TestFixtures
import Testing

/// What must not appear in anything that the service says.
private struct Secret: Sendable {
    let name: String
    /// The secret, and other spellings that would give it away.
    let forms: [String]

    /// A key, whose digest would do for trying keys elsewhere.
    init(key: String, name: String) async throws {
        let digest = try await shell("printf %s \(key) | sha256sum").prefix(64)
        let bytes = Data(key.utf8)
        self.name = name
        forms = [key, String(digest), bytes.base64EncodedString(), bytes.map { String($0, radix: 16) }.joined()]
    }

    /// A private key, of which no line may be seen.
    init(pem: String) {
        name = "TLS key"
        forms = pem.split(separator: "\n").filter { !$0.hasPrefix("-----") }.map(String.init)
    }

    func isFound(in text: String) -> Bool { forms.contains { text.contains($0) } }
}

@Suite(
    "Secrets", .enabled(if: toolsAreInstalled, "needs openssl and curl"), .timeLimit(.minutes(20)))
struct SecretTests {
    private let scratch: Scratch
    private let photo = TestFixtures.path("images/rgb-32x32.jpg")
    private let apiKey = "9d1c-the-api-key-4ab7"
    private let token = "77e0-the-admin-token-c2f1"

    init() throws { scratch = try Scratch() }

    /// Paths of a certificate and its private key.
    private func identity() async throws -> (certificate: String, key: String) {
        let (certificate, key) = (scratch.path("certificate.pem"), scratch.path("key.pem"))
        _ = try await shell(
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost "
                + "-keyout \(key) -out \(certificate)")
        return (certificate, key)
    }

    /// Requests, as curl's arguments, that hold a secret where it belongs and where a mistaken client might put it.
    private func requests(_ base: String, holding secret: String) -> [String] {
        let post = "--data-binary @\(photo) \(base)/embed"
        return [
            "-H 'X-API-Key: \(secret)' \(post)", "-H 'Authorization: Bearer \(secret)' \(post)",
            "-H 'X-API-Key: \(secret)x' \(post)", "-H 'Authorization: \(secret)' \(post)",
            "-H 'Authorization: Basic \(secret)' \(post)", "-u user:\(secret) \(post)",
            "-H 'Authorization: Bearer \(secret) \(secret)' \(post)",
            "-H 'X-API-Key: \(secret)' -H 'Content-Length: x' \(post)",
            "-H 'X-API-Key: \(secret)' -H 'X-Long: \(String(repeating: "x", count: 20_000))' \(post)",
            "-H 'X-API-Key: \(secret)' -H 'Transfer-Encoding: gzip' \(post)", "-H 'Cookie: key=\(secret)' \(post)",
            "'\(base)/model?api_key=\(secret)'", "\(base)/\(secret)", "'\(base)/%zz?\(secret)'",
            "-H 'X-API-Key: \(secret)' \(base)/model", "-H 'X-API-Key: \(secret)' \(base)/version",
            "-H 'X-API-Key: \(secret)' \(base)/openapi.yaml", "-H 'X-API-Key: \(secret)' \(base)/v2/models/a",
            "-H 'X-API-Key: \(secret)' \(base)/metrics", "-H 'X-API-Key: \(secret)' \(base)/admin/checkpoint",
            "-H 'X-API-Key: \(secret)' -X POST -d '{\"path\":\"missing\"}' \(base)/admin/checkpoint",
            "-H 'X-API-Key: \(secret)' -H Expect: -T \(scratch.path("key.pem")) '\(base)/admin/checkpoint?wait=true'",
            "\(base)/", "\(base)/health/ready",
        ]
    }

    @Test(
        "No key, token or private key, nor the digest of one, is in an answer, the log, metrics or what the system shows"
    )
    func nowhere() async throws {
        let (certificate, key) = try await identity()
        let secrets = [
            try await Secret(key: apiKey, name: "API key"), try await Secret(key: token, name: "admin token"),
            Secret(pem: try String(contentsOfFile: key, encoding: .utf8)),
        ]
        try scratch.write([], to: "models/a.safetensors")
        try TinyModel.write(to: scratch.path("models/a.safetensors"), name: "a", seed: 1)
        let arguments = [
            "--api-key-file", try scratch.write(Array("\(apiKey)\n".utf8), to: "keys"),
            "--admin-token-file", try scratch.write(Array("\(token)\n".utf8), to: "token"),
            "--tls-certificate", certificate, "--tls-key", key, "--log-level", "debug",
            "--model", scratch.path("models/a.safetensors"), "--model-directory", scratch.path("models"),
        ]
        var (answers, statuses): ([String], Set<Substring>) = ([], [])
        let service = try await RunningService.start(arguments, keepingRequests: true)
        for base in ["https://127.0.0.1:\(service.client.port)", "http://127.0.0.1:\(service.admin.port)"] {
            for secret in [apiKey, token] {
                for request in requests(base, holding: secret) {
                    let answer = try await shell("curl -s -k -i \(request)")
                    statuses.insert(answer.split(separator: " ").dropFirst().first ?? "none")
                    answers.append(answer)
                }
            }
        }
        service.run.signal(SIGHUP)
        #expect(await eventually { service.log.line("reloaded") != nil })
        var shown = ""
        for file in ["cmdline", "comm", "environ", "status", "maps"] {
            shown += try String(contentsOfFile: "/proc/\(service.run.processID)/\(file)", encoding: .utf8)
        }
        service.run.signal(SIGTERM)
        #expect(await service.end() == .exited(status: 0))
        // All of it was asked, and the log is that of these requests.
        #expect(statuses.isSuperset(of: ["200", "400", "401", "404", "422", "431"]), "\(statuses)")
        let log = service.log.lines
        #expect(log.count { $0.contains(#""message":"request""#) } > 80)
        for secret in secrets {
            #expect(!answers.contains { secret.isFound(in: $0) }, "\(secret.name) in an answer")
            #expect(!log.contains { secret.isFound(in: $0) }, "\(secret.name) in the log")
            #expect(!secret.isFound(in: shown), "\(secret.name) in /proc")
        }
    }

    @Test("Where a secret's file is refused, what is in it isn't told")
    func refusedFiles() async throws {
        let (certificate, key) = try await identity()
        let pem = try String(contentsOfFile: key, encoding: .utf8)
        let mangled = try scratch.write(Array(pem.replacing("-----BEGIN", with: "----BEGIN").utf8), to: "mangled")
        let long = try scratch.write(Array(String(repeating: apiKey + "\n", count: 60_000).utf8), to: "long")
        let bytes = try scratch.write(Array(apiKey.utf8) + [0xFF, 0xFE], to: "bytes")
        let secrets = [try await Secret(key: apiKey, name: "API key"), Secret(pem: pem)]
        for arguments in [
            ["--tls-certificate", certificate, "--tls-key", mangled],
            ["--tls-certificate", key, "--tls-key", certificate],
            ["--tls-key", key], ["--api-key-file", long], ["--api-key-file", bytes], ["--admin-token-file", bytes],
            ["--model", key],
        ] {
            let outcome = try await BuiltProgram.run(["serve", "--port", "0", "--admin-port", "0"] + arguments)
            #expect(outcome.status != 0 && !outcome.errors.isEmpty, "\(arguments)")
            for secret in secrets {
                #expect(!secret.isFound(in: outcome.errors + outcome.output), "\(arguments): \(secret.name)")
            }
        }
    }

    @Test("A key short enough to be guessed is warned of, by its file's name")
    func guessable() async throws {
        let short = try scratch.write(Array("hunter2\n".utf8), to: "short")
        try TinyModel.write(to: scratch.path("a.safetensors"), name: "a", seed: 1)
        let arguments = ["--api-key-file", short, "--model", scratch.path("a.safetensors")]
        try await RunningService.serve(arguments) { service async throws in
            #expect(service.log.line("guessable key")?["file"] as? String == short)
            #expect(!service.log.lines.contains { $0.contains("hunter2") })
        }
    }
}
