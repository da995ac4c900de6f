import Foundation
import TestBench
import TestFixtures
import Testing

@Suite("The running service and clients that are slow, cut off or lie", .timeLimit(.minutes(20)))
struct HostileWireTests {
    /// Runs the service on a tiny model, hands over the right answer to the sample image, and checks that it is given as
    /// before in the end, with nothing left open.
    private static func serve(
        _ arguments: [String] = [], _ body: (RunningService, Substring) async throws -> Void
    ) async throws {
        let scratch = try Scratch()
        let model = scratch.path("a.safetensors")
        try TinyModel.write(to: model, name: "a", seed: 1)
        try await RunningService.serve(["--model", model] + arguments) { service async throws in
            let truth = try await service.client.ask("POST", "/embed", body: sampleImage)
            #expect(truth.status == 200)
            _ = try await service.images()
            let descriptors = try service.descriptors()
            try await body(service, truth.features)
            #expect(try await service.client.ask("POST", "/embed", body: sampleImage).features == truth.features)
            #expect(try await service.settles(descriptors: descriptors))
        }
    }

    @Test("Slow senders are closed without an answer, however they begin, and no other client waits for them")
    func slowSenders() async throws {
        try await Self.serve(["--request-timeout", "300ms"]) { service, truth in
            let beginnings = [
                "", "POST /em", "POST /embed HTTP/1.1\r\nHost: h\r\nContent-Le",
                "POST /embed HTTP/1.1\r\nHost: h\r\nContent-Length: 10000\r\n\r\nabc",
                "POST /embed HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n100\r\nab",
            ]
            try await withThrowingTaskGroup(of: String.self) { group in
                for beginning in beginnings {
                    group.addTask { try await service.client.converse(Array(beginning.utf8)) }
                }
                #expect(try await service.client.ask("POST", "/embed", body: sampleImage).features == truth)
                for try await received in group { #expect(received.isEmpty) }
            }
        }
    }

    @Test("A half-closed client gets its answer; a request cut off by the half-close none")
    func halfClosed() async throws {
        try await Self.serve { service, truth in
            let whole = PortClient.request("POST", "/embed", body: sampleImage)
            let answer = try await service.client.converse(whole, halfClosing: true)
            #expect(answer.contains(truth))
            for end in [1, 20, whole.count - 1] {
                let cut = try await service.client.converse(Array(whole.prefix(end)), halfClosing: true)
                #expect(!cut.contains("200 OK"), "\(cut)")
            }
        }
    }

    @Test("Pipelined requests are answered in their order, with the bits of single ones")
    func pipelining() async throws {
        try await Self.serve { service, truth in
            let post = PortClient.request("POST", "/embed", body: sampleImage)
            let get = PortClient.request("GET", "/version")
            let port = service.client.port
            let answers = try await offPool {
                let client = try RawClient(port: port)
                for _ in 0..<20 { client.send(post + get) }
                return try (0..<40).map { _ in try client.response() }
            }
            for (index, answer) in answers.enumerated() {
                #expect(answer.status == 200)
                #expect(index % 2 == 0 ? answer.features == truth : answer.text.contains(#""headwater""#))
            }
        }
    }

    @Test("A thousand idle connections disturb no other client, cost little and leave nothing behind")
    func idleConnections() async throws {
        try await Self.serve { service, truth in
            let port = service.client.port
            let before = try service.kibibytes("VmRSS")
            let idle = try await offPool { try (0..<1000).map { _ in try RawClient(port: port) } }
            #expect(try await service.client.ask("POST", "/embed", body: sampleImage).features == truth)
            // Connected is not yet accepted.
            #expect(await eventually { (try? service.descriptors()).map { $0 > 1000 } ?? false })
            let growth = try service.kibibytes("VmRSS") - before
            if isLong { print("1,000 idle connections: \(growth) KiB more") }
            #expect(growth < 100 << 10)
            withExtendedLifetime(idle) {}
        }
    }

    @Test("Chunks of any size carry the same body; malformed ones are refused and an endless body is cut")
    func chunkedBodies() async throws {
        try await Self.serve(["--max-body", "100KiB"]) { service, truth in
            let head = Array("POST /embed HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n".utf8)
            for size in [1, 7, 1000, sampleImage.count] {
                var bytes = head
                for start in stride(from: 0, to: sampleImage.count, by: size) {
                    let chunk = sampleImage[start..<min(start + size, sampleImage.count)]
                    bytes += Array("\(String(chunk.count, radix: 16))\r\n".utf8) + chunk + [13, 10]
                }
                #expect(try await service.client.send(bytes + Array("0\r\nX: trailer\r\n\r\n".utf8)).features == truth)
            }
            for chunk in ["zz\r\nab\r\n", "-1\r\nab\r\n", "ffffffffffffffffff\r\nab", "2\r\nabcdefgh"] {
                let answer = try await service.client.converse(head + Array(chunk.utf8), halfClosing: true)
                #expect(!answer.contains("200 OK"), "\(answer)")
            }
            let chunk: [UInt8] = Array("1000\r\n".utf8) + [UInt8](repeating: 0, count: 4096) + [13, 10]
            let chunks = [[UInt8]](repeating: chunk, count: 40).flatMap { $0 }
            let endless = try await service.client.converse(
                head + chunks + Array("0\r\n\r\n".utf8), halfClosing: true)
            #expect(endless.contains(" 413 "), "\(endless)")
        }
    }

    @Test("A lying Content-Length costs the liar alone: no answer of 200, no wrong one to the next request")
    func lyingLength() async throws {
        try await Self.serve { service, _ in
            func head(_ lengths: String...) -> [UInt8] {
                let fields = lengths.map { "Content-Length: \($0)\r\n" }.joined()
                return Array("POST /embed HTTP/1.1\r\nHost: h\r\n\(fields)\r\n".utf8) + sampleImage
            }
            let size = sampleImage.count
            for bytes in [
                head("\(size + 1)"), head("\(size / 2)"), head("-1"), head("+\(size)"), head("0x10"), head("1e3"),
                head("99999999999999999999"), head("\(size)", "\(size + 1)"), head("\(size), \(size)"), head(""),
            ] {
                let answer = try await service.client.converse(bytes, halfClosing: true)
                #expect(!answer.contains(" 200 "), "\(answer)")
            }
            let smuggled = try await service.client.converse(
                Array("POST /embed HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n".utf8)
                    + Array("0\r\n\r\n".utf8) + PortClient.request("GET", "/version"), halfClosing: true)
            #expect(smuggled.contains(" 400 ") && !smuggled.contains(" 200 "), "\(smuggled)")
        }
    }
}
