import Files
import Foundation
import TestFixtures
import Testing

@testable import API

/// A tap's embedding of the image at `index`.
func embedding(_ answer: HTTPAnswer, _ index: Int = 0, tap: Int = 0) throws -> [Double] {
    try #require(try taps(answer, index)[tap]["embedding"] as? [Double])
}

func taps(_ answer: HTTPAnswer, _ index: Int = 0) throws -> [[String: Any]] {
    try #require(try results(answer)[index]["taps"] as? [[String: Any]], "\(answer.text)")
}

func results(_ answer: HTTPAnswer) throws -> [[String: Any]] {
    try #require(try answer.json()["results"] as? [[String: Any]], "\(answer.text)")
}

@Suite("Embeddings and classes", .timeLimit(.minutes(20)))
struct FeatureTests {
    @Test("The same image gives the same embedding as raw body, form and JSON")
    func forms() async throws {
        try await TestService.run { service async throws in
            let image = try sampleImage()
            let raw = try await service.client.post(
                "/embed", image, headers: ["Content-Type": "application/x-www-form-urlencoded"])
            let form = try await service.client.post(
                "/embed", Form().file("image", image).file("image", image).body,
                headers: ["Content-Type": Form.contentType])
            let base64 = Data(image).base64EncodedString()
            let json = try await service.client.postJSON("/embed", #"{"images":["\#(base64)"]}"#)
            for answer in [raw, form, json] { #expect(answer.status == 200, "\(answer.text)") }
            #expect(try embedding(raw).count == 48)
            #expect(try embedding(form, 1) == embedding(raw))
            #expect(try embedding(json) == embedding(raw))
            let lines = Data(image).base64EncodedString(options: .lineLength76Characters).replacing(
                "\r\n", with: #"\n"#)
            for text in [lines, "data:image/jpeg;base64," + base64] {
                let answer = try await service.client.post(
                    "/embed", Array(("\u{FEFF}" + #"{"images":["\#(text)"]}"#).utf8),
                    headers: ["Content-Type": "application/json; charset=UTF8"])
                #expect(try embedding(answer) == embedding(raw))
            }
            let model = try #require(try raw.json()["model"] as? [String: Any])
            #expect(model["name"] as? String == "a" && model["precision"] as? String == "f32")
            let version = try #require(model["version"] as? String)
            #expect(raw["X-Model-Version"] == "a@\(version)")
            let timings = try #require(try raw.json()["timings"] as? [String: Double])
            #expect(Set(timings.keys) == ["decode", "queue", "inference"])
            let header = try #require(raw["Server-Timing"]).split(separator: ", ").map { $0.split(separator: ";dur=") }
            for metric in header {
                let seconds = try #require(timings[String(metric[0])])
                #expect(abs(try #require(Double(metric[1])) - seconds * 1000) < 0.001)
            }
            #expect(header.count == 3)
        }
    }

    @Test("Every time is combined with every place, all places of the first time first")
    func crossProduct() async throws {
        try await TestService.run { service async throws in
            let answer = try await service.client.post(
                "/embed?at=0.667,end&from=pooled,middle,state", try sampleImage())
            let taps = try taps(answer)
            #expect(
                taps.compactMap { $0["place"] as? String } == [
                    "pooled", "middle", "state", "pooled", "middle", "state",
                ])
            #expect(taps.map { ($0["time"] as? Double ?? -1) > 0.5 } == [true, true, true, false, false, false])
            #expect(taps.compactMap { $0["dimension"] as? Int } == [48, 32, 768, 48, 32, 768])
            #expect(taps.allSatisfy { ($0["embedding"] as? [Double])?.count == $0["dimension"] as? Int })
        }
    }

    @Test("Options mean the same in query, form and JSON; a time alone is read at the default place")
    func options() async throws {
        try await TestService.run { service async throws in
            let image = try sampleImage()
            let base64 = Data(image).base64EncodedString()
            let answers = [
                try await service.client.post("/embed?at=0.667&normalize=l2", image),
                try await service.client.post(
                    "/embed?normalize=l2", Form().file("f", image).field("at", "0.667").body,
                    headers: ["Content-Type": Form.contentType]),
                try await service.client.postJSON(
                    "/embed", #"{"at":0.667,"images":["\#(base64)"],"normalize":"l2"}"#),
                try await service.client.postJSON(
                    "/embed",
                    #"{"taps":[{"place":"pooled","time":0.667}],"images":["\#(base64)"],"normalize":"l2"}"#),
            ]
            let first = try embedding(answers[0])
            #expect(abs(first.reduce(0) { $0 + $1 * $1 } - 1) < 1e-5)
            for answer in answers { #expect(try embedding(answer) == first, "\(answer.text)") }
        }
    }

    @Test("Base64 and NumPy results hold the very numbers of the JSON result")
    func encodings() async throws {
        try await TestService.run { service async throws in
            let image = try sampleImage()
            let numbers = try embedding(try await service.client.post("/embed", image)).map { Float($0) }
            let encoded = try await service.client.post("/embed?encoding=base64", image)
            let text = try #require(try taps(encoded)[0]["embedding"] as? String)
            let bytes = try #require(Data(base64Encoded: text))
            #expect([UInt8](bytes) == NumPyArray.bytes(numbers))

            let array = try await service.client.post(
                "/embed", Form().file("a", image).file("b", image).body,
                headers: ["Content-Type": Form.contentType, "Accept": "application/x-npy"])
            #expect(array["Content-Type"] == "application/x-npy")
            #expect(array.body == NumPyArray.header(rows: 2, columns: 48) + NumPyArray.bytes(numbers + numbers))
            #expect(array["X-Model-Version"]?.hasPrefix("a@") == true)
        }
    }

    @Test("Classes: logits, their softmax, labels, and the likeliest first")
    func classify() async throws {
        try await TestService.run { service async throws in
            let answer = try await service.client.post("/classify?top=2", try sampleImage())
            #expect(try answer.json()["labels"] as? [String] == ["cat", "dog", "fish"])
            let result = try results(answer)[0]
            let logits = try #require(result["logits"] as? [Double])
            let probabilities = try #require(result["probabilities"] as? [Double])
            #expect(logits.count == 3 && abs(probabilities.reduce(0, +) - 1) < 1e-12)
            let top = try #require(result["top"] as? [[String: Any]])
            let best = try #require(top.first?["index"] as? Int)
            #expect(top.count == 2 && probabilities[best] == probabilities.max())
            #expect(top[0]["label"] as? String == ["cat", "dog", "fish"][best])
            let plain = try await service.client.post("/classify", try sampleImage())
            #expect(try results(plain)[0]["top"] == nil)
        }
    }

    @Test("One bad image of many has its error in its place; a single bad image fails the request")
    func badImages() async throws {
        try await TestService.run { service async throws in
            let image = try sampleImage()
            let body = Form().file("i", image).file("i", Array("II*\0".utf8)).file("i", image).body
            let answer = try await service.client.post("/embed", body, headers: ["Content-Type": Form.contentType])
            #expect(answer.status == 200)
            let bad = try results(answer)[1]
            let error = try #require(bad["error"] as? [String: Any])
            #expect(error["status"] as? Int == 415 && error["code"] as? String == "unsupported_image")
            #expect((error["detail"] as? String)?.contains("TIFF") == true && bad["taps"] == nil)
            #expect(try embedding(answer, 0) == embedding(answer, 2))

            for (bytes, status) in [
                (Array("II*\0".utf8), 415), (Array(image.prefix(500)), 422), (Array("hello".utf8), 415),
            ] {
                let single = try await service.client.post("/embed", bytes)
                #expect(single.status == status && single["Content-Type"] == "application/problem+json")
            }
            let array = try await service.client.post(
                "/embed", body, headers: ["Content-Type": Form.contentType, "Accept": "application/x-npy"])
            #expect(array.status == 415 && array.text.contains("images[1]"))
        }
    }

    @Test("An image of more pixels than allowed is 413")
    func pixelLimit() async throws {
        try await TestService.run {
            $0.service.imageLimits.maximumPixels = 1000
        } _: { service async throws in
            let answer = try await service.client.post("/embed", try sampleImage())
            #expect(answer.status == 413 && answer.code == "image_too_large")
        }
    }

    @Test("A model without a head refuses to classify and still embeds")
    func headless() async throws {
        try await TestService.run {
            $0.hasHead = false
        } _: { service async throws in
            let image = try sampleImage()
            #expect(try await service.client.post("/classify", image).code == "no_head")
            #expect(try await service.client.post("/embed", image).status == 200)
            #expect(try await service.client.post("/embed?from=head", image).code == "unknown_tap")
        }
    }
}
