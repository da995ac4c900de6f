import FlowModel
import Foundation
import ImagePipeline
import TestBench
import TestFixtures
import Testing

@testable import API

@Suite("Upstream and back, shown", .timeLimit(.minutes(20)))
struct TrajectoryTests {
    private struct Shown: Decodable {
        struct State: Decodable {
            let time: Double
            let image: String

            func picture() throws -> RGBImage {
                let prefix = "data:image/png;base64,"
                try #require(image.hasPrefix(prefix))
                let bytes = [UInt8](try #require(Data(base64Encoded: String(image.dropFirst(prefix.count)))))
                #expect(bytes.prefix(4) == [0x89, 0x50, 0x4E, 0x47])
                return try ImageDecoder.decode(bytes)
            }
        }
        struct Errors: Decodable {
            let relativeError: Double
            let meanAbsoluteError: Double
        }
        let size: Int
        let upstream: [State]
        let downstream: [State]
        let roundTrip: Errors
    }

    @Test("Every grid point is shown on both ways, the first picture being what the model sees of the image")
    func states() async throws {
        try await TestService.run { service async throws in
            let image = try sampleImage()
            let answer = try await service.client.post("/trajectory", image)
            #expect(answer.status == 200, "\(answer.text.prefix(200))")
            let shown = try JSONDecoder().decode(Shown.self, from: Data(answer.body))
            let served = try #require(await service.service.active)
            let times = served.model.grid.times.map(Double.init)
            #expect(shown.size == 16)
            #expect(zip(shown.upstream.map(\.time), times).allSatisfy { abs($0 - $1) < 1e-6 })
            #expect(shown.upstream.count == times.count)
            #expect(shown.downstream.map(\.time) == shown.upstream.map(\.time).reversed())
            let first = try shown.upstream[0].picture()
            #expect(first == (try served.preprocessing.croppedImage(for: image)))
            #expect(try shown.upstream.last?.picture() == shown.downstream.first?.picture())

            let last = try #require(try shown.downstream.last?.picture())
            let differences = zip(first.pixels, last.pixels).map { abs(Int($0) - Int($1)) }
            let mean = Double(differences.reduce(0, +)) / Double(differences.count)
            #expect(abs(shown.roundTrip.meanAbsoluteError - mean) < 1e-9)
            #expect(shown.roundTrip.relativeError > 0 && shown.roundTrip.relativeError < 0.5)
        }
    }

    @Test(
        "The first picture is the image on every flow, whatever units its states are in",
        arguments: [Prediction.edm, .vp, .ve])
    func otherFlows(prediction: Prediction) async throws {
        try await TestService.run { service async throws in
            var configuration = TinyModel.configuration(name: "flow")
            configuration.flow = .parametrised(
                ParametrisedFlow(
                    prediction: prediction, times: .noise(.levels(smallest: 0.002, largest: 80, rho: 7))))
            try await service.serve(configuration)
            let image = try sampleImage()
            let answer = try await service.client.post("/trajectory", image)
            let shown = try JSONDecoder().decode(Shown.self, from: Data(answer.body))
            let served = try #require(await service.service.active)
            #expect(try shown.upstream[0].picture() == (try served.preprocessing.croppedImage(for: image)))
        }
    }

    @Test("The states shown are those that /embed answers")
    func sameStates() async throws {
        try await TestService.run { service async throws in
            let image = try sampleImage()
            let shown = try JSONDecoder().decode(
                Shown.self, from: Data(try await service.client.post("/trajectory", image).body))
            let end = try embedding(try await service.client.post("/embed?from=state&at=end", image)).map { Float($0) }
            let served = try #require(await service.service.active)
            #expect(try shown.upstream.last?.picture() == served.preprocessing.picture(of: end))
        }
    }

    @Test("The pictures answered are taken back by every operation that takes JSON")
    func pictures() async throws {
        try await TestService.run { service async throws in
            let answer = try await service.client.post("/trajectory", try sampleImage())
            let picture = try #require(
                try JSONDecoder().decode(Shown.self, from: Data(answer.body)).upstream.last?.image)
            for path in ["/embed", "/classify", "/trajectory"] {
                #expect(try await service.client.postJSON(path, #"{"images":["\#(picture)"]}"#).status == 200)
            }
            let tensor = #"{"name":"image","datatype":"BYTES","shape":[1],"data":["\#(picture)"]}"#
            #expect(try await service.client.postJSON("/v2/models/a/infer", #"{"inputs":[\#(tensor)]}"#).status == 200)
        }
    }

    @Test("One image a request, of any form; two are 413, and what is wrong is told as everywhere")
    func requests() async throws {
        try await TestService.run { service async throws in
            let image = try sampleImage()
            let form = ["Content-Type": Form.contentType]
            let one = try await service.client.post("/trajectory", Form().file("a", image).body, headers: form)
            #expect(one.status == 200)
            let two = try await service.client.post(
                "/trajectory", Form().file("a", image).file("b", image).body, headers: form)
            #expect(two.code == "too_many_images" && two.text.contains("more than 1 image;"))
            #expect(try await service.client.post("/trajectory", Array("II*\0".utf8)).status == 415)
            #expect(try await service.client.post("/trajectory?at=end", image).code == "unknown_parameter")
            #expect(try await service.client.post("/trajectory", []).code == "no_images")
            let late = try await service.client.post("/trajectory", image, headers: ["X-Request-Timeout": "1e-9"])
            #expect(late.code == "deadline_exceeded")
            let accepted = try await service.client.post("/trajectory", image, headers: ["Accept": "image/png"])
            #expect(accepted.status == 406)
        }
    }

    @Test("Kept answers tell both ways apart: a trajectory after an embedding and another trajectory")
    func cached() async throws {
        try await TestService.run {
            $0.service.cacheBytes = 1 << 20
        } _: { service async throws in
            let image = try sampleImage()
            _ = try await service.client.post("/embed?from=state", image)
            let first = try await service.client.post("/trajectory", image)
            let again = try await service.client.post("/trajectory", image)
            #expect(first["Cache-Status"] == "headwater; fwd=miss" && again["Cache-Status"] == "headwater; hit")
            let shown = try [first, again].map { try JSONDecoder().decode(Shown.self, from: Data($0.body)) }
            #expect(shown[0].upstream.map(\.image) == shown[1].upstream.map(\.image))
            #expect(shown[0].downstream.map(\.image) == shown[1].downstream.map(\.image))
        }
    }
}
