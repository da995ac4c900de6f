import Foundation
import TestBench
import TestFixtures
import Testing

@testable import Benchmarks
@testable import CommandLineInterface

@Suite("headwater bench training")
struct TrainingBenchTests {
    private struct Report: Decodable {
        let measurements: [TrainingBenchmark.Measurement]
        let peakResidentBytes: Int
    }

    @Test("Steps of both stages are timed, of a model without a head too, and peak memory is told")
    func measures() async throws {
        let scratch = try Scratch()
        let model = scratch.path("model.safetensors")
        try TinyModel.write(to: model, seed: 1, hasHead: false)
        let outcome = try await BuiltProgram.run([
            "bench", "training", "--model", model, "--batch", "3", "--seconds", "0", "--json",
        ])
        try #require(outcome.status == 0, "\(outcome.errors)")
        let report = try JSONDecoder().decode(Report.self, from: Data(outcome.output.utf8))
        #expect(report.measurements.map(\.stage) == [.pretrain, .finetune])
        #expect(report.measurements.map(\.evaluations) == [1, 3])
        for row in report.measurements {
            #expect(row.batch == 3 && 0 < row.step.least && row.step.least <= row.step.median)
            #expect(abs(row.imagesPerSecond * row.step.median - 3000) < 1e-6 * 3000)
        }
        #expect(report.peakResidentBytes > 1 << 20)
    }
}
