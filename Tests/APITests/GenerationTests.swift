import FlowModel
import Foundation
import ImagePipeline
import ReverseODE
import Tensor
import TestBench
import TestFixtures
import Testing

@testable import API

@Suite("Images made by the service", .timeLimit(.minutes(20)))
struct GenerationTests {
    private struct Made: Decodable {
        struct Picture: Decodable {
            var index: Int?
            var position: Double?
            let image: String
        }
        struct Latents: Decodable {
            let time: Double
            let cosine: Double
        }
        let size: Int
        var seed: Int?
        var latents: Latents?
        let images: [Picture]

        init(_ answer: HTTPAnswer) throws {
            #expect(answer.status == 200, "\(answer.text.prefix(300))")
            self = try JSONDecoder().decode(Made.self, from: Data(answer.body))
        }
    }

    private static func picture(_ uri: String) throws -> RGBImage {
        let prefix = "data:image/png;base64,"
        try #require(uri.hasPrefix(prefix))
        return try ImageDecoder.decode([UInt8](try #require(Data(base64Encoded: String(uri.dropFirst(prefix.count))))))
    }

    private static func twoImages(_ first: [UInt8], _ second: [UInt8], steps: Int? = nil) -> String {
        let images = [first, second].map { "\"\(Data($0).base64EncodedString())\"" }.joined(separator: ",")
        return #"{"images":[\#(images)]"# + (steps.map { ",\"steps\":\($0)" } ?? "") + "}"
    }

    // MARK: /sample

    @Test("A seed names the same images, however many are asked for and however it is given")
    func samples() async throws {
        try await TestService.run { service async throws in
            let made = try Made(try await service.client.post("/sample?count=6&seed=7", []))
            #expect(made.size == 16 && made.seed == 7 && made.images.map(\.index) == [0, 1, 2, 3, 4, 5])
            #expect(Set(made.images.map(\.image)).count == 6)
            let fewer = try Made(try await service.client.postJSON("/sample", #"{"count":2,"seed":7}"#))
            #expect(fewer.images.map(\.image) == Array(made.images.prefix(2).map(\.image)))
            let usual = try Made(try await service.client.post("/sample", []))
            #expect(usual.seed == 1 && usual.images.count == 1)
            #expect(
                usual.images[0].image == (try Made(try await service.client.post("/sample?seed=1", []))).images[0].image
            )
            #expect(usual.images[0].image != made.images[0].image)
        }
    }

    @Test("The images are those that the same pass gives outside of the service")
    func samePass() async throws {
        try await TestService.run { service async throws in
            let made = try Made(try await service.client.post("/sample?count=3&seed=9", []))
            let served = try #require(await service.service.active)
            let integrator = ReverseIntegrator(
                model: served.model, capacity: 1, kernels: .best, pool: WorkerPool(count: 2))
            let expected = integrator.images(0..<3, from: GenerationNoise(seed: 9)) {}
            #expect(made.images.count == 3)
            for (image, values) in zip(made.images, expected) {
                #expect(try Self.picture(image.image) == served.preprocessing.picture(of: values))
            }
        }
    }

    @Test("Every kind of flow makes images", arguments: [Prediction.edm, .vp, .ve])
    func otherFlows(prediction: Prediction) async throws {
        try await TestService.run { service async throws in
            var configuration = TinyModel.configuration(name: "flow")
            configuration.flow = .parametrised(
                ParametrisedFlow(
                    prediction: prediction, times: .noise(.levels(smallest: 0.002, largest: 80, rho: 7))))
            try await service.serve(configuration)
            let made = try Made(try await service.client.post("/sample?count=2", []))
            #expect(made.images[0].image != made.images[1].image)
        }
    }

    @Test("What is wrong with a request for samples is told")
    func wrongSamples() async throws {
        try await TestService.run {
            $0.api.maximumSamples = 4
        } _: { service async throws in
            func code(_ target: String, _ body: String = "", type: String = "application/json") async throws -> String?
            {
                try await service.client.post(target, Array(body.utf8), headers: ["Content-Type": type]).code
            }
            #expect(try await code("/sample?count=0") == "invalid_parameter")
            #expect(try await code("/sample?count=x") == "invalid_parameter")
            #expect(try await code("/sample?count=%2B3") == "invalid_parameter")
            let twice = try await service.client.postJSON("/sample?seed=3", #"{"seed":3}"#)
            #expect(twice.text.contains("seed is given twice; give each once"), "\(twice.text)")
            #expect(try await code("/sample?seed=-1") == "invalid_parameter")
            #expect(try await code("/sample?seed=9223372036854775808") == "invalid_parameter")
            #expect(try await code("/sample?count=2", #"{"count":2}"#) == "invalid_parameter")
            #expect(try await code("/sample?top=1") == "unknown_parameter")
            #expect(try await code("/sample", #"{"images":[]}"#) == "unknown_parameter")
            #expect(try await code("/sample", #"{"count":1.5}"#) == "malformed_body")
            #expect(
                try await code("/sample", "count=2", type: "application/x-www-form-urlencoded")
                    == "unsupported_media_type")
            #expect(try await code("/sample", String(repeating: " ", count: 1 << 17)) == "body_too_large")
            let many = try await service.client.post("/sample?count=5", [])
            #expect(many.code == "too_many_images" && many.text.contains("at most 4 images"))
            #expect(try await service.client.post("/sample?count=4", []).status == 200)
            let late = try await service.client.post("/sample", [], headers: ["X-Request-Timeout": "1e-9"])
            #expect(late.code == "deadline_exceeded")
            #expect(try await service.client.post("/sample", [], headers: ["Accept": "image/png"]).status == 406)
            #expect(try await service.client.get("/sample").status == 405)
        }
    }

    @Test("A model whose grid ends before noise makes no samples, and says what to do; it interpolates all the same")
    func shortGrid() async throws {
        try await TestService.run { service async throws in
            var configuration = TinyModel.configuration(name: "short")
            configuration.grid.cutoff = 1
            try await service.serve(configuration)
            let answer = try await service.client.post("/sample", [])
            #expect(answer.status == 422 && answer.code == "ends_before_noise")
            #expect(answer.text.contains("--t-span"))
            let image = try sampleImage()
            let made = try Made(try await service.client.postJSON("/interpolate", Self.twoImages(image, image)))
            #expect(abs(try #require(made.latents).time - 1.0 / 3) < 1e-6)
        }
    }

    @Test("Noise levels that end before noise make no samples, and the error names --sigma-max")
    func lowLevels() async throws {
        try await TestService.run { service async throws in
            var configuration = TinyModel.configuration(name: "low")
            configuration.flow = .parametrised(
                ParametrisedFlow(prediction: .edm, times: .noise(.levels(smallest: 0.002, largest: 1, rho: 7))))
            try await service.serve(configuration)
            let answer = try await service.client.post("/sample", [])
            #expect(answer.code == "ends_before_noise" && answer.text.contains("--sigma-max"))
            #expect(
                configuration.forGeneration().flow.parametrised?.times
                    == .noise(.levels(smallest: 0.002, largest: 80, rho: 7)))
        }
    }

    // MARK: /interpolate

    @Test("The ends are the images' reconstructions, and their latents' cosine is told")
    func interpolation() async throws {
        try await TestService.run { service async throws in
            let images = [try sampleImage(), try TestFixtures.bytes("images/gray-77x55.png")]
            let made = try Made(
                try await service.client.postJSON("/interpolate", Self.twoImages(images[0], images[1], steps: 5)))
            #expect(made.images.compactMap(\.position) == [0, 0.25, 0.5, 0.75, 1])
            #expect(Set(made.images.map(\.image)).count == 5)
            var latents: [[Float]] = []
            for (end, image) in zip([made.images[0], made.images[4]], images) {
                let shown = try await service.client.post("/trajectory", image).json()
                let states = try #require(shown["downstream"] as? [[String: Any]])
                #expect(states.last?["image"] as? String == end.image)
                latents.append(
                    try embedding(try await service.client.post("/embed?from=state&at=end", image)).map { Float($0) })
            }
            let told = try #require(made.latents)
            #expect(told.time == 0)
            #expect(abs(told.cosine - LatentPath(from: latents[0], to: latents[1]).cosine) < 1e-6)
        }
    }

    @Test("Between an image and itself there is only its reconstruction")
    func equalImages() async throws {
        try await TestService.run { service async throws in
            let image = try sampleImage()
            let form = Form().file("image", image).file("image", image).field("steps", "4").body
            let made = try Made(
                try await service.client.post("/interpolate", form, headers: ["Content-Type": Form.contentType]))
            #expect(made.images.count == 4 && Set(made.images.map(\.image)).count == 1)
            #expect(made.latents?.cosine == 1)
        }
    }

    @Test("What is wrong with a request for an interpolation is told")
    func wrongInterpolations() async throws {
        try await TestService.run {
            $0.api.maximumSamples = 4
        } _: { service async throws in
            let image = try sampleImage()
            let both = Self.twoImages(image, image, steps: 3)
            let one = #"{"images":["\#(Data(image).base64EncodedString())"]}"#
            #expect(try await service.client.postJSON("/interpolate", both).status == 200)
            let single = try await service.client.postJSON("/interpolate", one)
            #expect(single.code == "no_images" && single.text.contains("send 2"))
            let none = try await service.client.postJSON("/interpolate", #"{"images":[]}"#)
            #expect(none.code == "no_images" && none.text.contains("send 2"))
            let raw = try await service.client.post("/interpolate", image)
            #expect(raw.code == "unsupported_media_type" && raw["Accept-Post"]?.contains("multipart/form-data") == true)
            let three = Form().file("a", image).file("b", image).file("c", image).body
            let many = try await service.client.post("/interpolate", three, headers: ["Content-Type": Form.contentType])
            let encoded = "\"\(Data(image).base64EncodedString())\""
            let alike = try await service.client.postJSON(
                "/interpolate", #"{"images":[\#([encoded, encoded, encoded].joined(separator: ","))]}"#)
            for answer in [many, alike] {
                #expect(answer.code == "too_many_images" && answer.text.contains("send exactly 2"), "\(answer.text)")
            }
            #expect(try await service.client.postJSON("/interpolate?steps=3", both).code == "invalid_parameter")
            #expect(
                try await service.client.postJSON("/interpolate?steps=1", Self.twoImages(image, image)).code
                    == "invalid_parameter")
            #expect(
                try await service.client.postJSON("/interpolate?steps=5", Self.twoImages(image, image)).code
                    == "too_many_images")
            let usual = try Made(try await service.client.postJSON("/interpolate", Self.twoImages(image, image)))
            #expect(usual.images.count == 4)
            let damaged = try await service.client.postJSON(
                "/interpolate", Self.twoImages(image, Array("x".utf8), steps: 2))
            #expect(damaged.status == 415 && damaged.text.contains("images[1]"))
        }
    }

    @Test("Both are off without generation, as if they weren't there, and nothing else is")
    func turnedOff() async throws {
        try await TestService.run {
            $0.api.hasGeneration = false
        } _: { service async throws in
            let image = try sampleImage()
            for (path, body) in [("/sample", "{}"), ("/interpolate", Self.twoImages(image, image))] {
                let answer = try await service.client.postJSON(path, body)
                #expect(answer.status == 404 && answer.code == "not_found" && answer.text.contains("turned off"))
            }
            #expect(try await service.client.post("/trajectory", image).status == 200)
        }
    }

    @Test("The work of a client that has gone is dropped", arguments: ["sample", "interpolate"])
    func departure(operation: String) async throws {
        let pool = WorkerPool(count: 2)
        try await TestService.run {
            $0.pool = pool
        } _: { service async throws in
            let image = try sampleImage()
            let body = operation == "sample" ? "{}" : Self.twoImages(image, image)
            let hold = await WorkerPoolHold(of: pool)
            let head =
                "POST /\(operation) HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                + "Content-Length: \(body.utf8.count)\r\n\r\n"
            var client: RawClient? = try RawClient(port: service.client.port)
            client?.send(head + body)
            #expect(await eventually { await service.service.status().inFlight > 0 })
            // Closes the socket. The pool is still held, so nothing can have been computed.
            client = nil
            #expect(
                await eventually {
                    let status = await service.service.status()
                    return status.inFlight == 0 && status.waiting == 0 && service.openRequests == 0
                })
            hold.release()
            let text = try await service.admin.get("/metrics").text
            #expect(text.contains("headwater_images_generated_total 0\n"))
        }
    }

    @Test("Images that are made are counted, and keys are asked for")
    func observation() async throws {
        try await TestService.run {
            $0.api.apiKeys = ["a-key-of-some-length"]
        } _: { service async throws in
            #expect(try await service.client.post("/sample", []).status == 401)
            let headers = ["Authorization": "Bearer a-key-of-some-length"]
            _ = try Made(try await service.client.post("/sample?count=3", [], headers: headers))
            #expect(await eventually { service.openRequests == 0 })
            let text = try await service.admin.get("/metrics").text
            #expect(
                text.contains("headwater_images_generated_total 3\n") && text.contains("headwater_images_total 0\n"))
            #expect(text.contains(#"headwater_requests_total{method="POST",route="/sample",status="200"} 1"#))
        }
    }
}
