import Arguments
import FlowModel
import Foundation
import TestBench
import TestFixtures
import Testing

@testable import CommandLineInterface
@testable import Training

/// Keeps the promise that a head on a frozen flow is a solution: nothing about learning is left to choose.
@Suite("headwater finetune --freeze flow")
struct HeadTrainingTests {
    /// Pictures of three patterns under noise, twelve each to train on, and others.
    private static func shop() throws -> Workshop {
        let shop = try Workshop(classes: ["dark", "grey", "light"])
        var generator = SeededGenerator(seed: 5)
        for (label, name) in ["dark", "grey", "light"].enumerated() {
            for image in 0..<24 {
                let rows = (0..<16).map { y in
                    let noise = generator.floats(48)
                    return (0..<48).map { i -> UInt8 in
                        let isBright = [i < 24, y < 8, (i < 24) == (y < 8)][label]
                        return UInt8(128 + (isBright ? 40 : -40) + 40 * noise[i])
                    }
                }
                let png = PNGBuilder(width: 16, height: 16, colorType: .rgb, rows: rows).file
                try shop.scratch.write(
                    png, to: image < 12 ? "data/\(name)/\(image).png" : "others/\(name)/\(image).png")
            }
        }
        try TinyModel.write(to: shop.scratch.path("tiny.safetensors"), seed: 1)
        return shop
    }

    @MainActor
    private static func run(_ line: [String]) throws {
        #expect(try FineTuneCommand.run(try parsed(line)) == .success)
    }

    @MainActor
    private static func runInterrupted(_ line: [String]) async throws {
        let arguments = try parsed(line)
        let task = Task { @MainActor in
            // Cancelled before it begins, and so interrupted where it first looks.
            while !Task.isCancelled { await Task.yield() }
            return try FineTuneCommand.run(arguments)
        }
        task.cancel()
        #expect(try await task.value == .success)
    }

    @Test(
        "It finds the classes of images that it has not seen, keeps name and tap, and the model is served with a linear head"
    )
    @MainActor
    func solves() async throws {
        let shop = try Self.shop()
        let more = ["--default-tap", "end/middle"]
        try Self.run(shop.headTraining("tiny.safetensors", "head") + more)
        let file = try ModelFile(path: shop.scratch.path("head/model.safetensors"))
        #expect(file.configuration.head?.hiddenWidth == nil && file.configuration.labels == ["dark", "grey", "light"])
        #expect(file.configuration.name == "tiny" && file.configuration.defaultTap == "end/middle")
        let log = try String(contentsOfFile: shop.scratch.path("head/log.csv"), encoding: .utf8).split(separator: "\n")
        #expect(log[0] == "penalty,iterations,loss,top1,validation_loss,validation_top1")
        #expect(log.count == 1 + LinearHead.penalties.count)
        let model = shop.scratch.path("head/model.safetensors")
        let found = try await Workshop.top1(["--model", model, "--data", shop.scratch.path("others")])
        #expect(found > 0.9)
    }

    @Test("Interrupted, it goes on with the features that it has to the same bits; another penalty solves again")
    @MainActor
    func resumes() async throws {
        let shop = try Self.shop()
        try Self.run(shop.headTraining("tiny.safetensors", "straight"))
        try await Self.runInterrupted(shop.headTraining("tiny.safetensors", "parts"))
        let state = shop.scratch.path("parts/state.safetensors")
        let done = try TrainingState.Reader(path: state).record.featuresDone
        #expect(done == ["training": 27, "validation": 0], "the training images are one batch of features")
        #expect(!FileManager.default.fileExists(atPath: shop.scratch.path("parts/model.safetensors")))
        try Self.run(["finetune", "--resume", "-o", shop.scratch.path("parts")])
        let first = try shop.bytes("parts/model.safetensors")
        #expect(try first == shop.bytes("straight/model.safetensors"))

        try Self.run(["finetune", "--resume", "--penalty", "5", "-o", shop.scratch.path("parts")])
        #expect(try shop.bytes("parts/model.safetensors") != first)
        #expect(try String(contentsOfFile: shop.scratch.path("parts/log.csv"), encoding: .utf8).contains("\n5.0,"))
        #expect(try TrainingState.Reader(path: state).record.options?["penalty"] == "5")
        let other = try #require(throws: TrainingError.self) {
            try Self.run(["finetune", "--resume", "--head-place", "middle", "-o", shop.scratch.path("parts")])
        }
        #expect(other.description.contains("--head-place was state and is middle"))
    }

    @Test(
        "What makes no sense for a head that is solved for is refused by its name, and a penalty for any other",
        arguments: [
            ["--epochs", "3"], ["--learning-rate", "0.1"], ["--final-learning-rate", "0"], ["--warm-up", "1"],
            ["--schedule", "constant"], ["--weight-decay", "0"], ["--label-smoothing", "0"], ["--ema-decay", "0.9"],
            ["--clip", "1"], ["--seed", "2"], ["--batch-size", "6"], ["--augment", "flip"], ["--forward-steps", "1"],
            ["--gradient-steps", "0"], ["--flow-weight", "1"], ["--flow-share", "0.5"], ["--images-at-a-time", "4"],
            ["--batch-parts", "2"],
            ["--step-log", "steps"],
            ["--head-width", "3"],
            ["--from-scratch"], ["--restart-schedule"],
        ])
    @MainActor
    func refuses(option: [String]) throws {
        let shop = try Workshop()
        let error = try #require(throws: UsageError.self) {
            try Self.run(shop.headTraining("tiny.safetensors", "head") + option)
        }
        #expect(error.source == option[0] && error.remedy.contains("leave out --freeze flow"))
        let penalty = try #require(throws: UsageError.self) {
            try Self.run(shop.finetuning("tiny.safetensors", "whole", "--penalty", "1"))
        }
        #expect(penalty.source == "--penalty")
    }
}
