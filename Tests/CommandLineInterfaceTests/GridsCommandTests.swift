import Foundation
import TestBench
import TestFixtures
import Testing

@Suite("headwater grids")
struct GridsCommandTests {
    private struct Report: Decodable {
        struct Row: Decodable {
            let solver: String
            let span: Int
            let evaluations: Int
            let distance: Double
        }
        let images: Int
        let rows: [Row]
    }

    private static func data() throws -> Scratch {
        let scratch = try Scratch()
        for name in ["a", "b"] {
            for image in ["rgb-32x32.jpg", "gray-77x55.png"] {
                try scratch.write(TestFixtures.bytes("images/\(image)"), to: "data/\(name)/\(image)")
            }
        }
        return scratch
    }

    @Test("prints a grid that convert takes, and that comes as near to the solution as it says")
    func convertible() async throws {
        let scratch = try Self.data()
        let model = try await ImportedModel.classifier()
        let grids = ["grids", "--model", model.path, "--data", scratch.path("data"), "--evaluations", "8"]
        let outcome = try await BuiltProgram.run(grids + ["--tolerance", "0.5", "--no-neighbours"])
        try #require(outcome.status == 0, "\(outcome.errors)")
        let last = try #require(outcome.output.split(separator: "\n").last)
        let options = try #require(last.split(separator: ": ").last).split(separator: " ").map(String.init)
        let converted = try await BuiltProgram.run(
            ["convert", model.path, "-o", scratch.path("cheap.safetensors")] + options)
        try #require(converted.status == 0, "\(converted.errors)")

        let report = try JSONDecoder().decode(
            Report.self, from: Data(try await BuiltProgram.run(grids + ["--json"]).output.utf8))
        #expect(report.images == 4)
        #expect(report.rows.allSatisfy { $0.evaluations <= 8 && $0.distance.isFinite })
        let euler = report.rows.filter { $0.solver == "euler" }.map(\.distance)
        #expect(euler.first! > euler.last!)
    }

    @Test("exits with 1 and says what to do if no grid is near enough")
    func none() async throws {
        let scratch = try Self.data()
        let model = try await ImportedModel.classifier()
        let outcome = try await BuiltProgram.run([
            "grids", "--model", model.path, "--data", scratch.path("data"), "--evaluations", "1", "--tolerance", "1e-6",
        ])
        #expect(outcome.status == 1)
        #expect(outcome.output.contains("No grid is within"))
    }

    @Test("A limit below the fewest evaluations over the interval is refused before an image is read")
    func tooFew() async throws {
        let scratch = try Self.data()
        let model = try await ImportedModel.classifier()
        // 19 spans cut to 4: other grids over the same interval have multiples of 4 steps.
        let cut = try await BuiltProgram.run([
            "convert", model.path, "--t-span", "20", "--t-cutoff", "15", "-o", scratch.path("cut.safetensors"),
        ])
        try #require(cut.status == 0, "\(cut.errors)")
        let outcome = try await BuiltProgram.run([
            "grids", "--model", scratch.path("cut.safetensors"), "--data", scratch.path("data"), "--evaluations", "3",
        ])
        #expect(outcome.status == 64 && outcome.errors.contains("give at least 4"), "\(outcome.errors)")
    }
}
