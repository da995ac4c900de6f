import Foundation
import TestBench
import TestFixtures
import Testing

@Suite("The running service and bodies made to hurt it", .timeLimit(.minutes(20)))
struct HostileBodyTests {
    /// Runs the service on a tiny model; a good image is answered the same before and after `body`.
    private static func serve(
        _ arguments: [String] = [], _ body: (RunningService) async throws -> Void
    ) async throws {
        let scratch = try Scratch()
        let model = scratch.path("a.safetensors")
        try TinyModel.write(to: model, name: "a", seed: 1)
        try await RunningService.serve(["--model", model] + arguments) { service async throws in
            let truth = try await service.client.ask("POST", "/embed", body: sampleImage)
            #expect(truth.status == 200)
            try await body(service)
            #expect(try await service.client.ask("POST", "/embed", body: sampleImage).features == truth.features)
            #expect(try await eventually { try await service.images() == 0 })
        }
    }

    private static let disposition = "Content-Disposition: form-data; name=\"image\"; filename=\"a\"\r\n"

    private static func part(_ headers: String, _ content: [UInt8]) -> [UInt8] {
        Array("--bound\r\n\(headers)\r\n".utf8) + content + [13, 10]
    }

    @Test("Odd forms: what can be read is answered, everything else is a client's error with a code")
    func forms() async throws {
        let end = Array("--bound--\r\n".utf8)
        let image = Self.part(Self.disposition, sampleImage)
        let nested = Self.part(
            "Content-Disposition: form-data; name=\"image\"\r\nContent-Type: multipart/mixed; boundary=inner\r\n",
            Array("--inner\r\nContent-Disposition: file; filename=\"a\"\r\n\r\n".utf8) + sampleImage
                + Array("\r\n--inner--".utf8))
        let forms: [(what: String, type: String, body: [UInt8], status: Int)] = [
            ("a good one", "multipart/form-data; boundary=bound", image + end, 200),
            ("no boundary", "multipart/form-data", image + end, 400),
            ("an empty boundary", "multipart/form-data; boundary=", image + end, 400),
            ("an endless boundary", "multipart/form-data; boundary=" + String(repeating: "b", count: 5000), end, 400),
            ("another boundary", "multipart/form-data; boundary=x", image + end, 400),
            ("nothing", "multipart/form-data; boundary=bound", [], 400),
            ("no part", "multipart/form-data; boundary=bound", end, 400),
            ("no end", "multipart/form-data; boundary=bound", image, 400),
            ("nested", "multipart/form-data; boundary=bound", nested + end, 200),
            (
                "nested and cut", "multipart/form-data; boundary=bound", Array(nested.prefix(nested.count - 12)) + end,
                400
            ),
            (
                "5,000 parts", "multipart/form-data; boundary=bound",
                (0..<5000).flatMap { _ in Self.part(Self.disposition, [1]) } + end, 413
            ),
            (
                "a header of 1 MB", "multipart/form-data; boundary=bound",
                Self.part(Self.disposition + "X: " + String(repeating: "x", count: 1 << 20) + "\r\n", sampleImage)
                    + end,
                413
            ),
            (
                "100,000 headers", "multipart/form-data; boundary=bound",
                Self.part(Self.disposition + String(repeating: "X: y\r\n", count: 100_000), sampleImage) + end,
                413
            ),
        ]
        try await Self.serve { service async throws in
            for form in forms {
                let answer = try await service.client.ask(
                    "POST", "/embed", headers: ["Content-Type": form.type], body: form.body)
                #expect(answer.status == form.status, "\(form.what): \(answer.text.prefix(300))")
                #expect((answer.code == nil) == (form.status == 200), "\(form.what)")
            }
        }
    }

    @Test("JSON as deep as a body is long is refused, not recursed into")
    func deepJSON() async throws {
        let depth = 2_000_000
        let arrays = String(repeating: "[", count: depth)
        try await Self.serve { service async throws in
            for text in [
                arrays, arrays + String(repeating: "]", count: depth), #"{"images":"# + arrays,
                String(repeating: #"{"images":"#, count: depth / 10), #"{"images":["\#(arrays)"]}"#,
            ] {
                let answer = try await service.client.askJSON("POST", "/embed", text)
                #expect(answer.status == 400 && answer.code == "malformed_body", "\(answer.text.prefix(300))")
            }
            let admin = try await service.admin.askJSON("POST", "/admin/checkpoint", String(arrays.prefix(60_000)))
            #expect(admin.status == 400, "\(admin.text.prefix(300))")
        }
    }

    @Test("PNG bombs are refused or decoded within bounded memory")
    func decompressionBombs() async throws {
        let zeros = PNGBuilder.zlib(zeros: 32 << 20)
        let small = PNGBuilder(width: 16, height: 16, colorType: .gray, rows: [])
        let bombs: [(what: String, file: [UInt8], status: Int)] = [
            (
                "900 megapixels",
                PNGBuilder(width: 30_000, height: 30_000, colorType: .gray, rows: []).file(data: zeros),
                413
            ),
            (
                "the widest there is",
                PNGBuilder(width: 0x7FFF_FFFF, height: 0x7FFF_FFFF, bitDepth: 16, colorType: .rgba, rows: []).file(
                    data: zeros), 413
            ),
            (
                "as many pixels as are allowed, 64 bits each",
                PNGBuilder(width: 2000, height: 2000, bitDepth: 16, colorType: .rgba, rows: []).file(
                    data: PNGBuilder.zlib(zeros: 2000 * 16_001)), 200
            ),
            ("a stream far longer than its image", small.file(data: zeros), 200),
            (
                "text",
                PNGBuilder(
                    width: 16, height: 16, colorType: .gray,
                    rows: Array(repeating: Array(repeating: 0, count: 16), count: 16),
                    before: [("zTXt", Array("a".utf8) + [0, 0] + zeros)]
                ).file, 200
            ),
            (
                "metadata that is read",
                PNGBuilder(
                    width: 16, height: 16, colorType: .gray,
                    rows: Array(repeating: Array(repeating: 0, count: 16), count: 16),
                    before: [("zTXt", Array("XML:com.adobe.xmp".utf8) + [0, 0] + zeros)]
                ).file, 200
            ),
            (
                "a colour profile",
                PNGBuilder(
                    width: 16, height: 16, colorType: .gray,
                    rows: Array(repeating: Array(repeating: 0, count: 16), count: 16),
                    before: [("iCCP", Array("a".utf8) + [0, 0] + zeros)]
                ).file, 200
            ),
        ]
        try await Self.serve(["--max-pixels", "4000000"]) { service async throws in
            let before = try service.kibibytes("VmHWM")
            for bomb in bombs {
                let answer = try await service.client.ask("POST", "/embed", body: bomb.file)
                #expect(answer.status == bomb.status, "\(bomb.what): \(answer.text.prefix(300))")
            }
            // 4 million pixels of three bytes, what was received of a body, and room for the allocator; far below the bombs.
            #expect(try service.kibibytes("VmHWM") - before < 30 << 10)
        }
    }

    @Test("Images of one pixel are answered")
    func onePixel() async throws {
        let png = PNGBuilder(width: 1, height: 1, colorType: .rgb, rows: [[200, 100, 50]]).file
        let jpeg = try TestFixtures.bytes("images/tiny-1x1.jpg")
        try await Self.serve { service async throws in
            for image in [png, jpeg] {
                for target in ["/embed", "/classify"] {
                    let answer = try await service.client.ask("POST", target, body: image)
                    #expect(answer.status == 200, "\(answer.text.prefix(300))")
                }
            }
        }
    }
}
