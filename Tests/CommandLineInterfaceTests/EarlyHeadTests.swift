import Arguments
import FlowModel
import Foundation
import Networks
import ReverseODE
import TestBench
import TestFixtures
import Testing

@testable import CommandLineInterface
@testable import Training

/// Keeps the promise that commands let a head read early on a grid that goes further, and cost no more for it.
@Suite("Commands with a head before the end of the grid")
struct EarlyHeadTests {
    private static func run(_ line: String...) async throws -> String {
        let outcome = try await BuiltProgram.run(line)
        try #require(outcome.status == 0, "\(line): \(outcome.errors)")
        return outcome.output
    }

    private static func configuration(_ path: String) throws -> ModelConfiguration {
        try ModelFile(path: path).configuration
    }

    @Test("A model that is converted to a grid to noise classifies and embeds with the same bits as before")
    func converted() async throws {
        let shop = try Workshop()
        let (cut, whole) = (shop.scratch.path("cut.safetensors"), shop.scratch.path("whole.safetensors"))
        var configuration = TinyModel.configuration(name: "tiny")
        (configuration.grid, configuration.defaultTap) = (TimeGridConfiguration(count: 9, cutoff: 7), "end/middle")
        configuration.head?.place = ActivationMeans(.up(0))
        try TinyModel.write(configuration, to: cut, seed: 1)
        let said = try await Self.run(
            "convert", cut, "--t-span", "9", "--t-cutoff", "0", "--head-at", "0.875", "-o", whole)
        #expect(said.contains("default tap 0.875/middle, the head reads at 0.875"))
        let image = shop.data + "/dark/0.png"
        for command in ["classify", "embed"] {
            let (before, after) = (
                try await Self.run(command, "--model", cut, image), try await Self.run(command, "--model", whole, image)
            )
            func numbers(_ text: String) -> Substring { text.drop { $0 != "[" } }
            #expect(numbers(before) == numbers(after), "\(command)")
        }
        let inspected = try await Self.run("inspect", whole)
        #expect(inspected.contains("from up.0 at 0.875, one evaluation more"))
        #expect(inspected.contains("8 per image, 1 to where the head reads"))
        #expect(try Self.configuration(whole).formatVersion == 3 && Self.configuration(cut).formatVersion == 1)
        // Places without a time are read where the head reads.
        let places = try await Self.run("embed", "--model", whole, "--from", "up.1", image)
        #expect(places == (try await Self.run("embed", "--model", whole, "--from", "up.1", "--at", "0.875", image)))
    }

    @Test(
        "Fine-tuning with --head-at trains what a cut grid trains, and keeps the whole grid",
        arguments: [[], ["--freeze", "flow"]])
    func fineTuned(more: [String]) async throws {
        let shop = try Workshop()
        try TinyModel.write(to: shop.scratch.path("tiny.safetensors"), seed: 1, hasHead: false)
        func tune(_ output: String, _ grid: [String]) async throws -> ModelFile {
            var line = ["finetune", shop.scratch.path("tiny.safetensors"), "--data", shop.data, "--validation", "0.25"]
            line += ["--head-place", "middle", "-o", shop.scratch.path(output)] + grid + more
            if more.isEmpty {
                line += ["--epochs", "2", "--batch-size", "6", "--warm-up", "0", "--learning-rate", "0.01"]
            }
            let outcome = try await BuiltProgram.run(line)
            try #require(outcome.status == 0, "\(outcome.errors)")
            return try ModelFile(path: shop.scratch.path("\(output)/model.safetensors"))
        }
        let cut = try await tune("cut", ["--t-span", "5", "--t-cutoff", "3"])
        let whole = try await tune("whole", ["--t-span", "5", "--head-at", "0.75"])
        #expect(whole.configuration.head?.point == 1 && whole.configuration.grid.cutoff == nil)
        #expect(whole.configuration.defaultTap == "0.75/pooled")
        for parameter in cut.parameters {
            #expect(try cut.tensor(parameter.key) == whole.tensor(parameter.key), "\(parameter.key)")
        }
    }

    @Test("A time at which no head can read is refused with what there is")
    func refusals() async throws {
        let shop = try Workshop()
        let (model, bare) = (shop.scratch.path("tiny.safetensors"), shop.scratch.path("bare.safetensors"))
        try TinyModel.write(to: model, seed: 1)
        try TinyModel.write(to: bare, seed: 1, hasHead: false)
        func expect(_ line: [String], _ message: String) async throws {
            let outcome = try await BuiltProgram.run(line + ["-o", shop.scratch.path("out")])
            #expect(outcome.status == 64 && outcome.errors.contains("--head-at"), "\(outcome.errors)")
            #expect(outcome.errors.contains(message), "\(outcome.errors)")
        }
        try await expect(["convert", model, "--head-at", "0.9"], "the time 0.9 is not on this model's grid")
        try await expect(["convert", bare, "--head-at", "end"], "no head")
        try await expect(["finetune", bare, "--data", shop.data, "--head-at", "0.9"], "not on this model's grid")
        try await expect(["finetune", bare, "--data", shop.data, "--head-at", "1"], "only through at least one step")
        try await expect(
            [
                "import", TestFixtures.path("models/pretrained-only-ddp.pt"), "--image-size", "32", "--path", "icfm",
                "--t-span", "6", "--head-at", "0.8",
            ], "no head")
    }

    @Test("An imported head reads at its time on a grid that goes to noise")
    func imported() async throws {
        let scratch = try Scratch()
        let path = scratch.path("model.safetensors")
        _ = try await Self.run(
            "import", TestFixtures.path("models/otcfm32-cutoff.pt"), "--image-size", "32", "--path", "otcfm",
            "--t-span",
            "9", "--head-at", "0.75", "-o", path)
        let configuration = try Self.configuration(path)
        #expect(configuration.head?.point == 2 && configuration.defaultTap == "0.75/pooled")
    }

    @Test("Few labels train on as many images of every class; a class that has fewer is named")
    func fewLabels() async throws {
        let shop = try Workshop()
        try TinyModel.write(to: shop.scratch.path("tiny.safetensors"), seed: 1, hasHead: false)
        let line = ["finetune", shop.scratch.path("tiny.safetensors"), "--data", shop.data, "--validation", "0.25"]
        func tune(_ count: String, _ more: [String]) async throws -> BuiltProgram.Outcome {
            try await BuiltProgram.run(
                line + ["--labels-per-class", count, "-o", shop.scratch.path("out-\(count)")] + more)
        }
        let frozen = try await tune("4", ["--freeze", "flow", "--dry-run"])
        #expect(frozen.output.contains("images: 8 to train on, 6 to validate on"), "\(frozen.output)\(frozen.errors)")
        let learning = try await tune("5", ["--batch-size", "5", "--epochs", "1", "--warm-up", "0", "--dry-run"])
        #expect(learning.output.contains("images: 10 to train on, 6 to validate on"), "\(learning.errors)")
        let tooMany = try await tune("10", ["--freeze", "flow"])
        #expect(tooMany.status == 65 && tooMany.errors.contains("the class dark has 9 images"), "\(tooMany.errors)")
    }
}
