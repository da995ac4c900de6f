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

    @Test("With --api-key-file every public route but health asks for one of the keys")
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
            for path in ["/model", "/version", "/openapi.yaml"] { #expect(try await status(url + path) == "401") }
            for path in ["live", "ready", "startup"] { #expect(try await status("\(url)/health/\(path)") == "200") }
        }
    }

    @Test("With --tls-certificate and --tls-key curl, trusting the certificate, gets its answers, and plain HTTP none")
    func tls() async throws {
        let (certificate, key) = (scratch.path("certificate.pem"), scratch.path("key.pem"))
        _ = try await shell(
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost "
                + "-addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout \(key) -out \(certificate)")
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
        }
    }
}
