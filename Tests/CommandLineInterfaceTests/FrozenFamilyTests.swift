import FlowModel
import Foundation
import ModelFixtures
import ModelImport
import Networks
import ReverseODE
import TestBench
import TestFixtures
import Testing

@testable import CommandLineInterface

/// Keeps the promise that a head in minutes works on every family, at any place and time.
@Suite("headwater finetune --freeze flow, of imported families")
struct FrozenFamilyTests {
    /// Reddish and bluish pictures; those with odd numbers aren't trained on.
    private static func pictures(in scratch: Scratch) throws {
        var generator = SeededGenerator(seed: 5)
        for (label, name) in ["blue", "red"].enumerated() {
            for image in 0..<24 {
                let rows = (0..<16).map { _ in
                    generator.floats(48).enumerated().map { i, noise -> UInt8 in
                        UInt8((i % 3 == 2 - 2 * label ? 200 : 60) + 30 * noise)
                    }
                }
                let png = PNGBuilder(width: 16, height: 16, colorType: .rgb, rows: rows).file
                try scratch.write(png, to: "\(image % 2 == 0 ? "data" : "others")/\(name)/\(image).png")
            }
        }
    }

    @Test(
        "trains, is written, and classifies when it is loaded",
        arguments: FamilyFixture.all.filter { $0.sameWeightsAs == nil })
    @MainActor
    func classifies(fixture: FamilyFixture) async throws {
        let scratch = try Scratch()
        try Self.pictures(in: scratch)
        let base = try fixture.withImport { model in
            try model.write(to: scratch.path("model.safetensors"))
            return model.configuration
        }
        // The second point of the grid, at a place of the decoder.
        let cutoff = base.flow.keepsGridBeforeCutoff ? 2 : base.grid.count - 2
        let status = try FineTuneCommand.run(
            try parsed([
                "finetune", scratch.path("model.safetensors"), "--data", scratch.path("data"), "--freeze", "flow",
                "--penalty", "0.001", "--t-cutoff", "\(cutoff)", "--head-place", "up.1:2x2", "-o", scratch.path("head"),
            ]))
        #expect(status == .success)
        let path = scratch.path("head/model.safetensors")
        let configuration = try ModelFile(path: path).configuration
        #expect(
            configuration.head?.place == ActivationMeans(.up(1), divisions: 2) && configuration.head?.hiddenWidth == nil
        )
        #expect(TimeGrid(configuration).steps == 1 && configuration.labels == ["blue", "red"])
        let found = try await Workshop.top1(["--model", path, "--data", scratch.path("others")])
        #expect(found >= 0.9, "\(found)")
    }
}
