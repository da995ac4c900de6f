import FeatureService
import FlowModel
import Foundation
import ModelFixtures
import ModelImport
import ReverseODE
import Tensor
import TestBench
import TestFixtures
import Testing

@Suite("headwater import") struct ImportCommandTests {
    @Test("What is recorded for the self-test is what the stored weights answer", arguments: ["f32", "f16", "bf16"])
    func selfTest(type: String) async throws {
        let scratch = try Scratch()
        let path = scratch.path("m.safetensors")
        let outcome = try await BuiltProgram.run([
            "import", TestFixtures.path("models/otcfm32-cutoff.pt"), "--image-size", "32", "--path", "otcfm",
            "--t-span", "10", "--t-cutoff", "6", "--dtype", type, "-o", path,
        ])
        try #require(outcome.status == 0, "\(outcome.errors)")
        let pool = WorkerPool(count: 1)
        let served = try ModelLoader(pool: pool).load(path: path)
        let test = CheckpointSelfTest(kernels: .best, pool: pool)
        let recorded = try #require(served.configuration.selfTest)
        #expect(try recorded == test.record(served.model))
        #expect(recorded.embedding.count == 32 && recorded.logits?.count == 10)
        #expect(throws: Never.self) { try test.run(served.model) }
    }

    /// Unpacks a published family's fixture into a folder that lives as long as `scratch`.
    private func source(_ name: String, _ path: String, in scratch: Scratch) throws -> String {
        try FamilyFixture.withUnpacked(name) { folder in
            try FileManager.default.copyItem(atPath: folder.appending(path: path).path, toPath: scratch.path(path))
        }
        return scratch.path(path)
    }

    @Test("says which dialect it recognised and what it assumed, and writes a model that passes its self-test")
    func dialect() async throws {
        let scratch = try Scratch()
        let file = try source("guided-diffusion", "64x64_diffusion.pt", in: scratch)
        let path = scratch.path("m.safetensors")
        let outcome = try await BuiltProgram.run([
            "import", file, "--image-size", "16", "--head-width", "32", "--qkv-order", "thirds", "--schedule", "cosine",
            "--class", "null", "--points", "5", "-o", path,
        ])
        try #require(outcome.status == 0, "\(outcome.errors)")
        for line in [
            "a model of guided-diffusion", "assumed: the network predicts epsilon (--prediction)",
            "assumed: the schedule has 1000 timesteps (--timesteps)",
            "assumed: time labels are multiplied by 1.0 (--time-scale)",
        ] {
            #expect(outcome.output.contains(line), "\(outcome.output)")
        }
        let pool = WorkerPool(count: 1)
        let served = try ModelLoader(pool: pool).load(path: path)
        #expect(throws: Never.self) { try CheckpointSelfTest(kernels: .best, pool: pool).run(served.model) }
    }

    @Test("reads a folder of diffusers without any option")
    func folder() async throws {
        let scratch = try Scratch()
        let folder = try source("diffusers-pipeline", "pipeline", in: scratch)
        let outcome = try await BuiltProgram.run(["import", folder, "-o", scratch.path("m.safetensors")])
        #expect(outcome.status == 0, "\(outcome.errors)")
        #expect(outcome.output.contains("a model of diffusers") && !outcome.output.contains("assumed"))
    }

    @Test(
        "refuses options that don't suffice or don't fit",
        arguments: [
            (["--head-width", "32"], 64, "--qkv-order is missing"),
            (["--as", "guided-diffusion-63"], 64, "did you mean guided-diffusion-64?"),
            (["--as", "guided-diffusion-64", "--class", "1"], 64, "is a model of 295904454"),
            (["--as", "edm-cifar10"], 64, "the file is of guided-diffusion"),
            (["--class", "cat"], 64, "a class's index"),
            (["--weights", "raw"], 64, "--weights doesn't apply"),
            (["--t-cutoff", "3"], 64, "--t-span"),
            (["--sigma-max", "81"], 64, "--sigma-max"), (["--rho", "0"], 64, "--rho"),
            (["--schedule", "cosine", "--qkv-order", "thirds", "--sigma-min", "0.1"], 64, "--sigma-min doesn't apply"),
        ])
    func options(flags: [String], status: Int32, message: String) async throws {
        let scratch = try Scratch()
        let file = try source("guided-diffusion", "64x64_diffusion.pt", in: scratch)
        let outcome = try await BuiltProgram.run(["import", file, "-o", scratch.path("m.safetensors")] + flags)
        #expect(outcome.status == status && outcome.errors.contains(message), "\(outcome.errors)")
        #expect(!FileManager.default.fileExists(atPath: scratch.path("m.safetensors")))
    }

    @Test("refuses a folder without a configuration")
    func emptyFolder() async throws {
        let scratch = try Scratch()
        try FileManager.default.createDirectory(atPath: scratch.path("empty"), withIntermediateDirectories: true)
        let outcome = try await BuiltProgram.run(["import", scratch.path("empty"), "-o", scratch.path("m.safetensors")])
        #expect(outcome.status == 65 && outcome.errors.contains("config.json or model_index.json"), "\(outcome.errors)")
    }

    @Test("The help lists every published model")
    func help() async throws {
        let outcome = try await BuiltProgram.run(["import", "--help"])
        for model in PublishedModel.all { #expect(outcome.output.contains(model.name)) }
    }
}
