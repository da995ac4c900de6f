import Foundation
import TestBench
import Testing

@testable import API

@Suite("Compressed requests", .timeLimit(.minutes(20)))
struct CompressedBodyTests {
    private func headers(_ compression: Compression, _ type: String = "image/jpeg") -> [String: String] {
        ["Content-Encoding": compression.coding, "Content-Type": type]
    }

    @Test(
        "Every operation that takes a body takes it compressed, and answers as if it were not",
        arguments: Compression.allCases)
    func everyOperation(compression: Compression) async throws {
        let image = try sampleImage()
        let base64 = Data(image).base64EncodedString()
        let post = Array(#"{"images":["\#(base64)"]}"#.utf8)
        let form = Form().file("image", image).body
        let tensor = #"{"inputs":[{"name":"image","datatype":"BYTES","shape":[1],"data":["\#(base64)"]}]}"#
        try await TestService.run { service async throws in
            let plain = try embedding(try await service.client.post("/embed", image))
            for (body, type) in [(image, "image/jpeg"), (post, "application/json"), (form, Form.contentType)] {
                let answer = try await service.client.post(
                    "/embed", compression.compress(body), headers: headers(compression, type))
                #expect(try embedding(answer) == plain, "\(type)")
            }
            for path in ["/classify", "/trajectory"] {
                let answer = try await service.client.post(
                    path, compression.compress(image), headers: headers(compression))
                #expect(answer.status == 200, "\(path): \(answer.text)")
            }
            let version = try #require(await service.service.active?.version.label)
            for path in [inferencePath, "/v2/models/a/versions/\(version)/infer"] {
                let answer = try await service.client.post(
                    path, compression.compress(Array(tensor.utf8)), headers: headers(compression, "application/json"))
                #expect(try InferenceAnswer(answer).values("embedding", shape: [1, 48]) == plain.map { Float($0) })
            }
            // The header's length is that of the JSON before it was compressed.
            let element = BinaryBody.prefixed(image)
            let binary = BinaryBody(
                json: input("image", "BYTES", "[1]", #""parameters":{"binary_data_size":\#(element.count)}"#),
                tail: element)
            let answer = try await service.client.post(
                inferencePath, compression.compress(binary.bytes),
                headers: binary.headers.merging(["Content-Encoding": compression.coding]) { $1 })
            #expect(try InferenceAnswer(answer).values("embedding", shape: [1, 48]) == plain.map { Float($0) })

            for (path, body) in [
                ("/v2/repository/index", #"{"ready":true}"#), ("/v2/repository/models/a/load", "{}"),
                ("/admin/checkpoint?wait=true", #"{"path":"a.safetensors"}"#),
            ] {
                let answer = try await service.admin.post(
                    path, compression.compress(Array(body.utf8)), headers: headers(compression, "application/json"))
                #expect(answer.status == 200, "\(path): \(answer.text)")
            }
        }
    }

    @Test("Other codings are refused before the body comes, with the header that names those that are read")
    func otherCodings() async throws {
        try await TestService.run { service async throws in
            for coding in ["br", "gzip, deflate", "zstd, gzip"] {
                for path in ["/embed", "/classify", "/trajectory", inferencePath] {
                    let answer = try await service.client.post(
                        path, [1], headers: ["Content-Encoding": coding])
                    #expect(answer.status == 415 && answer.code == "unsupported_media_type", "\(path)")
                    #expect(answer["Accept-Encoding"] == "gzip, deflate")
                    #expect(answer.text.contains("gzip and deflate"))
                }
            }
            let index = try await service.admin.post("/v2/repository/index", [], headers: ["Content-Encoding": "br"])
            #expect(index.status == 415 && index["Accept-Encoding"] == "gzip, deflate")
            for coding in ["gzip", "br"] {
                let upload = try await service.admin.send(
                    "PUT", "/admin/checkpoint", headers: ["Content-Encoding": coding], body: [1])
                #expect(upload.status == 415 && upload["Accept-Encoding"] == "identity")
            }
            let plain = try await service.client.post(
                "/embed", try sampleImage(), headers: ["Content-Encoding": "identity"])
            #expect(plain.status == 200)
            let empty = try await service.client.post("/embed", [], headers: ["Content-Encoding": "gzip"])
            #expect(empty.code == "no_images")
            #expect(try await service.client.get("/version", headers: ["Content-Encoding": "br"]).status == 200)
        }
    }

    /// Text that compresses to about half.
    private static let text = (0..<200_000).flatMap { "\($0 &* 7919 % 1_000_003) ".utf8 }

    private func post(_ body: [UInt8], to service: TestService) async throws -> (status: Int, said: String) {
        let answer = try await service.client.post("/embed", body, headers: headers(.gzip))
        return (answer.status, answer.text)
    }

    @Test("A compressed body that is damaged is 400, and one that is too large or compressed too much 413")
    func refusals() async throws {
        let image = try sampleImage()
        let whole = Compression.gzip.compress(image)
        try await TestService.run {
            $0.api.maximumBodyBytes = 5 << 18
        } _: { service async throws in
            for (body, status, said) in [
                (Array(whole.dropLast(9)), 400, "ends early"), (image, 400, "malformed or damaged"),
                (whole + [0], 400, "nothing may follow"),
                (Compression.gzip.compress([UInt8](repeating: 0, count: 9 << 17)), 413, "100 times its size"),
                (Compression.gzip.compress(Self.text), 413, "once it is decompressed"), (whole, 200, "results"),
            ] {
                let answer = try await post(body, to: service)
                #expect(answer.status == status && answer.said.contains(said), "\(answer)")
            }
        }
    }

    @Test("What a body decompresses to counts among the bodies held, and is given back at the request's end")
    func heldBytes() async throws {
        let text = Compression.gzip.compress(Array(Self.text.prefix(900_000)))
        let image = Compression.gzip.compress(try sampleImage())
        try await TestService.run {
            $0.server.maximumHeldBodyBytes = 1 << 20
        } _: { service async throws in
            #expect(text.count < 1 << 19)
            for _ in 0..<3 {
                let refused = try await post(text, to: service)
                #expect(refused.status == 503 && refused.said.contains("fill the memory reserved"))
                #expect(try await post(image, to: service).status == 200)
            }
            let held = #"headwater_body_bytes_held{listener="public"} 0"#
            #expect(await eventually { (try? await service.admin.get("/metrics").text.contains(held)) == true })
            let refused = #"headwater_requests_rejected_total{limit="memory"} 3"#
            #expect(try await service.admin.get("/metrics").text.contains(refused))
        }
    }
}
