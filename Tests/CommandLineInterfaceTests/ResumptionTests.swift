import Arguments
import Foundation
import TestBench
import Testing

@testable import CommandLineInterface
@testable import Training

/// Keeps the promise that `--resume` needs no other option, and that what changes nevertheless is said.
@Suite("Resuming")
struct ResumptionTests {
    @MainActor
    private static func pretrain(_ line: [String]) throws {
        #expect(try PretrainCommand.run(try parsed(line)) == .success)
    }

    private static func resuming(_ shop: Workshop, _ more: String...) -> [String] {
        ["pretrain", "--resume", "-o", shop.scratch.path("out")] + more
    }

    @Test("takes its options from the state, and gives the bits of a run that was given them all")
    @MainActor
    func recalls() throws {
        let shop = try Workshop()
        try Self.pretrain(shop.pretraining("out", "--epochs", "1"))
        let arguments = try parsed(Self.resuming(shop))
        #expect(arguments.given["learning-rate"] == "0.002" && arguments.given["data"] == shop.data)
        #expect(
            arguments.source(of: TrainingOptions.data)
                == .memory(
                    option: "--data", file: shop.scratch.path("out/state.safetensors")))
        try Self.pretrain(Self.resuming(shop, "--epochs", "2"))
        try Self.pretrain(shop.pretraining("straight", "--epochs", "2"))
        #expect(try shop.bytes("out/model.safetensors") == shop.bytes("straight/model.safetensors"))
        // The options of the latest run are those that the next one goes on with.
        #expect(try parsed(Self.resuming(shop)).given["epochs"] == "2")
        // A variable outweighs the state, as it does a default.
        let variable = try parsed(Self.resuming(shop), environment: ["HEADWATER_EPOCHS": "7"])
        #expect(variable.given["epochs"] == "7")
    }

    @Test("names the option that was changed, what it was, and what may change")
    @MainActor
    func names() throws {
        let shop = try Workshop()
        try Self.pretrain(shop.pretraining("out", "--epochs", "1"))
        let error = try #require(throws: TrainingError.self) {
            try Self.pretrain(Self.resuming(shop, "--batch-size", "4"))
        }
        for part in ["--batch-size was 8 and is 4", "--name", "--epochs"] { #expect(error.description.contains(part)) }
        let schedule = try #require(throws: TrainingError.self) {
            try Self.pretrain(Self.resuming(shop, "--learning-rate", "0.1"))
        }
        #expect(schedule.description.contains("--restart-schedule"))
        let begins = try #require(throws: UsageError.self) {
            try Self.pretrain(shop.pretraining("fresh", "--restart-schedule"))
        }
        #expect(begins.source == "--restart-schedule")
    }

    @Test("without a state says so of the options that are then missing")
    func missing() throws {
        let shop = try Workshop()
        let error = try #require(throws: UsageError.self) { try parsed(Self.resuming(shop)) }
        #expect(error.description.contains("is missing, and \(shop.scratch.path("out/state.safetensors"))"))
        // Paths are remembered from the root, fractions as they are.
        let remembered = TrainingOptions.remembered(
            try parsed([
                "pretrain", "--data", "train.tar", "--architecture", "/a.json", "--coupling", "icfm",
                "--validation", "0.1", "-o", "out", "--dry-run",
            ]), of: PretrainCommand.command)
        #expect(remembered["data"] == FileManager.default.currentDirectoryPath + "/train.tar")
        #expect(remembered["architecture"] == "/a.json" && remembered["validation"] == "0.1")
        #expect(Set(remembered.keys) == ["data", "architecture", "coupling", "validation"])
    }

    @Test("prolongs a cosine by a schedule that begins again, once")
    @MainActor
    func prolongs() throws {
        let shop = try Workshop()
        try Self.pretrain(shop.pretraining("out", "--epochs", "1", "--schedule", "cosine"))
        let refused = try #require(throws: TrainingError.self) {
            try Self.pretrain(Self.resuming(shop, "--epochs", "3"))
        }
        #expect(refused.description.contains("--epochs was 1 and is 3"))
        let done = try #require(throws: TrainingError.self) {
            try Self.pretrain(Self.resuming(shop, "--restart-schedule"))
        }
        #expect(done.description.contains("give more --epochs"))
        try Self.pretrain(Self.resuming(shop, "--epochs", "3", "--restart-schedule"))
        let record = try TrainingState.Reader(path: shop.scratch.path("out/state.safetensors")).record
        #expect(record.scheduleStart == 3 && record.epoch == 3 && record.settings.descriptions["--epochs"] == "3")
        try Self.pretrain(Self.resuming(shop))
    }
}
