import Foundation
import Tensor
import TestBench
import TestFixtures
import Testing

@testable import CommandLineInterface
@testable import Machine
@testable import Training

/// Keeps the promise that training takes data sets as people have them, and says what it made of them.
@Suite("Data sets of headwater pretrain, finetune and evaluate")
struct TrainingDataCommandTests {
    @Test(
        "A damaged image is skipped, named once and counted, through a resumption too; --damaged fail and the limit end the run"
    )
    func damaged() async throws {
        let shop = try Workshop()
        let cut = Array(try shop.bytes("data/dark/3.png").prefix(300))
        try shop.scratch.write(cut, to: "data/dark/3.png")
        let straight = try await BuiltProgram.run(shop.pretraining("straight", "--epochs", "2"))
        try #require(straight.status == 0, "\(straight.errors)")
        let mentions = straight.errors.components(separatedBy: "headwater: skipped: ").count - 1
        #expect(mentions == 1 && straight.errors.contains("dark/3.png: the image is cut off"), "\(straight.errors)")
        #expect(straight.errors.contains("damaged images left out: 1"))
        for (epochs, more) in [("1", []), ("2", ["--resume"])] {
            let part = try await BuiltProgram.run(shop.pretraining("parts", "--epochs", epochs) + more)
            #expect(part.status == 0 && part.errors.contains("dark/3.png"))
        }
        #expect(try shop.bytes("parts/model.safetensors") == shop.bytes("straight/model.safetensors"))

        let strict = try await BuiltProgram.run(shop.pretraining("strict", "--damaged", "fail"))
        #expect(strict.status == 65 && strict.errors.contains("dark/3.png"))
        for index in 4..<6 { try shop.scratch.write(cut, to: "data/dark/\(index).png") }
        let many = try await BuiltProgram.run(shop.pretraining("many", "--epochs", "2"))
        #expect(many.status == 65 && many.errors.contains("2 of 24 images are damaged, more than the 1 allowed"))
        try TinyModel.write(to: shop.scratch.path("tiny.safetensors"), seed: 1, hasHead: false)
        let head = try await BuiltProgram.run(
            shop.headTraining("tiny.safetensors", "head", "--damaged-limit", "50%"))
        #expect(head.status == 0 && head.errors.contains("damaged images left out: 3"), "\(head.errors)")
        let measured = try await BuiltProgram.run([
            "evaluate", "--model", shop.scratch.path("head/model.safetensors"), "--data", shop.data, "--knn", "0",
        ])
        #expect(measured.status == 65 && measured.errors.contains("2 of 24 images are damaged"))
    }

    @Test("Labels of a table are learnt and measured, whatever the folders say; what is not named is told of")
    func labels() async throws {
        let shop = try Workshop()
        var table = "path,label\n"
        for index in 0..<12 {
            table += "dark/\(index).png,\"night, late\"\n"
            if index > 0 { table += "light/\(index).png,day\n" }
        }
        let labels = try shop.scratch.write(table.utf8, to: "labels.csv")
        try TinyModel.write(to: shop.scratch.path("tiny.safetensors"), seed: 1, hasHead: false)
        let tuned = try await BuiltProgram.run(
            shop.finetuning(
                "tiny.safetensors", "tuned", "--labels", labels, "--balance", "classes", "--epochs", "2"))
        try #require(tuned.status == 0, "\(tuned.errors)")
        #expect(tuned.errors.contains("1 skipped: 1 not in the labels (light/0.png)"))
        let model = shop.scratch.path("tuned/model.safetensors")
        let measured = try await BuiltProgram.run([
            "evaluate", "--model", model, "--data", shop.data, "--labels", labels, "--knn", "0",
        ])
        #expect(measured.status == 0 && measured.output.contains("23"), "\(measured.errors)")
        for (more, message) in [
            (["--labels", shop.data + "/dark/0.png"], "line 1"), (["--validation-labels", labels], "--validation"),
        ] {
            let refused = try await BuiltProgram.run(shop.finetuning("tiny.safetensors", "refused") + more)
            #expect(refused.status == (more[0] == "--labels" ? 65 : 64) && refused.errors.contains(message))
        }
        let other = try await BuiltProgram.run(
            shop.finetuning("tiny.safetensors", "tuned", "--balance", "none", "--epochs", "3", "--resume"))
        #expect(other.status == 64 && other.errors.contains("--balance was classes and is not given"))
    }

    @Test("A dry run says what would be done and changes nothing", arguments: ["pretrain", "finetune", "head"])
    func dryRun(command: String) async throws {
        let shop = try Workshop()
        try TinyModel.write(to: shop.scratch.path("tiny.safetensors"), seed: 1, hasHead: false)
        let log = shop.scratch.path("steps.jsonl")
        let line =
            switch command {
            case "pretrain":
                shop.pretraining(
                    "out", "--epochs", "50", "--validation", "0.25", "--step-log", log, "--samples", "2")
            case "finetune": shop.finetuning("tiny.safetensors", "out", "--epochs", "50", "--step-log", log)
            default: shop.headTraining("tiny.safetensors", "out")
            }
        let before = try shop.scratch.names()
        let outcome = try await BuiltProgram.run(line + ["--dry-run"])
        #expect(outcome.status == 0, "\(outcome.errors)")
        #expect(outcome.output.contains("images: 18 to train on, 6 to validate on\n"))
        #expect(outcome.output.contains("classes: 2 (dark, light)\n") == (command != "pretrain"))
        let steps = command == "pretrain" ? "100 in 50 epochs of 2, each of 8" : "150 in 50 epochs of 3, each of 6"
        let what = command == "head" ? "compute its features" : "steps: \(steps) images\n"
        for part in [
            what, "time: about ", command == "head" ? " ms to " : " s per step", "memory: about ",
            "nothing was written",
        ] {
            #expect(outcome.output.contains(part), "\(part)")
        }
        #expect(outcome.output.contains("s per sheet of samples") == (command == "pretrain"), "\(outcome.output)")
        #expect(try shop.scratch.names() == before)
        try shop.scratch.write("kept".utf8, to: "out/model.safetensors")
        #expect(try await BuiltProgram.run(line + ["--dry-run"]).status == 64)
    }

    @Test("A forecast counts the steps that are left, each as long as its slower half, validations and sheets")
    func forecast() {
        let times = TrainingForecast.Times(step: 2, batch: 3, validation: 10)
        func forecast(done: Int) -> TrainingForecast {
            TrainingForecast(
                trainingImages: 100, validationImages: 10, classes: [], imagesPerStep: 10, stepsPerEpoch: 10, epochs: 4,
                stepsDone: done)
        }
        #expect(forecast(done: 0).seconds(times) == 40 * 3 + 4 * 10)
        #expect(forecast(done: 25).seconds(times) == 15 * 3 + 2 * 10)
        let drawing = TrainingForecast.Times(step: 2, batch: 3, validation: 10, samples: 5)
        #expect(forecast(done: 25).seconds(drawing) == 15 * 3 + 2 * 15)
        let budget = MemoryBudget(availableBytes: 1 << 30, bound: "the machine's memory")
        let text = forecast(done: 25).text(times, bytes: 300 << 20, budget: budget)
        #expect(
            text.contains(
                "40 in 4 epochs of 10, each of 10 images; 25 are done\ntime: about 1:05 (measured: 2.0 s per step"))
        #expect(text.contains("memory: about 300 MiB at most; 1024 MiB are left (the machine's memory)"))
    }
}
