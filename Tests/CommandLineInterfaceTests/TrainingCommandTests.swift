import Arguments
import Console
import Foundation
import TestBench
import TestFixtures
import Testing

@testable import CommandLineInterface
@testable import Training

/// Classes of small pictures that a network tells apart at once, an architecture, and folders for results.
struct Workshop {
    let scratch: Scratch
    var data: String { scratch.path("data") }
    var architecture: String { scratch.path("architecture.json") }

    init(classes: [String] = ["dark", "light"]) throws {
        scratch = try Scratch()
        for (index, name) in classes.enumerated() {
            var generator = SeededGenerator(seed: UInt64(index + 1))
            let level = 80 + 100 * Float(index) / Float(classes.count - 1)
            for image in 0..<12 {
                let rows = (0..<16).map { _ in generator.floats(48).map { UInt8(level + 70 * abs($0)) } }
                let png = PNGBuilder(width: 16, height: 16, colorType: .rgb, rows: rows).file
                try scratch.write(png, to: "data/\(name)/\(image).png")
            }
        }
        let json = """
            {"modelChannels":32,"residualBlocks":1,"channelMultipliers":[1],"attentionDownsampling":[],"heads":2,
            "imageSize":16}
            """
        try scratch.write(json.utf8, to: "architecture.json")
    }

    func pretraining(_ output: String, _ more: String...) -> [String] {
        [
            "pretrain", "--data", data, "--architecture", architecture, "--coupling", "otcfm", "--batch-size", "8",
            "--learning-rate", "0.002", "--name", "small", "-o", scratch.path(output),
        ] + (more.contains("--samples") ? [] : ["--samples", "0"]) + more
    }

    func finetuning(_ model: String, _ output: String, _ more: String...) -> [String] {
        [
            "finetune", scratch.path(model), "--data", data, "--validation", "0.25", "--t-span", "3", "--batch-size",
            "6", "--warm-up", "1", "--learning-rate", "0.005", "-o", scratch.path(output),
        ] + more
    }

    /// A head that is solved for.
    func headTraining(_ model: String, _ output: String, _ more: String...) -> [String] {
        [
            "finetune", scratch.path(model), "--data", data, "--validation", "0.25", "--t-span", "3", "--freeze",
            "flow",
            "-o", scratch.path(output),
        ] + more
    }

    func bytes(_ name: String) throws -> Data { try Data(contentsOf: URL(filePath: scratch.path(name))) }

    static func top1(_ arguments: [String]) async throws -> Double {
        struct Report: Decodable { let top1: Double }
        let outcome = try await BuiltProgram.run(["evaluate", "--json", "--knn", "0"] + arguments)
        try #require(outcome.status == 0, "\(outcome.errors)")
        return try JSONDecoder().decode(Report.self, from: Data(outcome.output.utf8)).top1
    }
}

/// What a descriptor gives, line by line; read on a thread of its own.
private func lines(of handle: FileHandle) -> AsyncStream<String> {
    AsyncStream { continuation in
        Thread {
            var rest = ""
            while case let data = handle.availableData, !data.isEmpty {
                rest += String(decoding: data, as: UTF8.self)
                let parts = rest.split(separator: "\n", omittingEmptySubsequences: false)
                for line in parts.dropLast() { continuation.yield(String(line)) }
                rest = String(parts.last ?? "")
            }
            continuation.finish()
        }.start()
    }
}

@Suite("headwater pretrain and finetune")
struct TrainingCommandTests {
    @Test("Pretraining, fine-tuning and a head alone make models that are served with the folders' names")
    func wholeWay() async throws {
        let shop = try Workshop()
        let pretrained = try await BuiltProgram.run(
            shop.pretraining("pretrained", "--epochs", "3", "--validation", "0.25", "--samples", "2"))
        try #require(pretrained.status == 0, "\(pretrained.errors)")
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: shop.scratch.path("pretrained")).sorted()
                == ["log.csv", "model.safetensors", "progress.svg", "samples", "state.safetensors"])
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: shop.scratch.path("pretrained/samples")).sorted()
                == ["epoch-0001.png", "epoch-0002.png", "epoch-0003.png"])
        let base = "pretrained/model.safetensors"
        let runs = [
            ("whole", shop.finetuning(base, "whole", "--epochs", "8")),
            ("placed", shop.finetuning(base, "placed", "--epochs", "8", "--head-place", "middle")),
            (
                "placed-early",
                shop.finetuning(
                    base, "placed-early", "--epochs", "8", "--head-place", "middle", "--forward-steps", "0")
            ),
            ("placed-head", shop.headTraining(base, "placed-head", "--head-place", "up.0")),
            // A linear head is kept and trained on, together with the network.
            ("placed-on", shop.finetuning("placed-head/model.safetensors", "placed-on", "--epochs", "2")),
        ]
        for (output, line) in runs {
            let tuned = try await BuiltProgram.run(line)
            try #require(tuned.status == 0, "\(output): \(tuned.errors)")
            let model = shop.scratch.path("\(output)/model.safetensors")
            #expect(try await Workshop.top1(["--model", model, "--data", shop.data]) >= 0.9, "\(output)")
            let inspected = try await BuiltProgram.run(["inspect", model])
            #expect(inspected.output.contains("dark, light"))
            #expect(inspected.output.contains("evaluation more") == output.hasPrefix("placed"))
            #expect(inspected.output.contains("linear") == ["placed-head", "placed-on"].contains(output))
            #expect(inspected.output.contains("self-test"))
        }
        let log = try String(contentsOfFile: shop.scratch.path("whole/log.csv"), encoding: .utf8)
        #expect(log.hasPrefix("epoch,step,learning_rate,loss,top1,validation_loss,validation_top1,"))
        #expect(log.split(separator: "\n").count == 9)
    }

    @Test(
        "A signal saves the state, leaves a clean line and ends with 0; resumed, the run ends as if it had not come",
        arguments: [SIGINT, SIGTERM])
    func interruption(signal: Int32) async throws {
        let shop = try Workshop()
        let terminal = try PseudoTerminal()
        let run = try BuiltProgram.start(shop.pretraining("stopped", "--epochs", "100000"), on: terminal)
        var screen = TerminalScreen()
        var isSent = false
        for await bytes in terminal.output() {
            screen.write(bytes)
            guard !isSent, screen.lines.contains(where: { $0.hasPrefix("epoch 2/") }) else { continue }
            isSent = true
            run.signal(signal)
        }
        #expect(await run.wait() == .exited(status: 0))
        #expect(screen.hasShown("/100000 step "), "there was a bar")
        #expect(screen.lines.last == "" && !screen.lines.contains { $0.contains("/100000 step ") }, "\(screen.lines)")
        #expect(screen.lines.dropLast().last?.contains("saved after step") == true)
        let log = try String(contentsOfFile: shop.scratch.path("stopped/log.csv"), encoding: .utf8)
        let epochs = log.split(separator: "\n").count + 1
        let resumed = try await BuiltProgram.run(shop.pretraining("stopped", "--epochs", "\(epochs)", "--resume"))
        try #require(resumed.status == 0, "\(resumed.errors)")
        let straight = try await BuiltProgram.run(shop.pretraining("straight", "--epochs", "\(epochs)"))
        try #require(straight.status == 0, "\(straight.errors)")
        #expect(try shop.bytes("stopped/model.safetensors") == shop.bytes("straight/model.safetensors"))
    }

    @Test("A second signal ends the run at once, and leaves a clean line too")
    func secondSignal() async throws {
        let shop = try Workshop()
        let terminal = try PseudoTerminal()
        let run = try BuiltProgram.start(shop.pretraining("stopped", "--epochs", "100000"), on: terminal)
        var screen = TerminalScreen()
        var isSent = false
        for await bytes in terminal.output() {
            screen.write(bytes)
            guard !isSent, screen.hasShown("/100000 step ") else { continue }
            isSent = true
            // Both are there when it goes on. The first may have been obeyed before the second is seen.
            for signal in [SIGSTOP, SIGINT, SIGTERM, SIGCONT] { run.signal(signal) }
        }
        #expect([.exited(status: 0), .signalled(SIGINT), .signalled(SIGTERM)].contains(await run.wait()))
        #expect(screen.lines.last == "" && !screen.lines.contains { $0.contains("/100000 step ") }, "\(screen.lines)")
    }

    @Test("A signal that comes when the state can't be saved ends with what is wrong, not silently")
    func interruptionWithoutFolder() async throws {
        let shop = try Workshop()
        let (run, errors) = try BuiltProgram.start(
            shop.pretraining("stopped", "--epochs", "100000", "--batch-size", "1"))
        var said: [String] = []
        for await line in lines(of: errors) {
            said.append(line)
            guard line.hasPrefix("epoch 2/") else { continue }
            // Stopped meanwhile, so that the signal most likely comes before the run finds out by itself.
            run.signal(SIGSTOP)
            try FileManager.default.moveItem(atPath: shop.scratch.path("stopped"), toPath: shop.scratch.path("moved"))
            run.signal(SIGTERM)
            run.signal(SIGCONT)
        }
        let status = Console.ExitStatus.unwritableOutput.rawValue
        #expect(await run.wait() == .exited(status: status))
        #expect(said.last?.hasPrefix("headwater: can't") == true, "\(said)")
    }

    @Test("Fine-tuning that goes on where it ended gives what a longer run gives")
    func prolonged() async throws {
        let shop = try Workshop()
        try TinyModel.write(to: shop.scratch.path("tiny.safetensors"), seed: 1, hasHead: false)
        for (output, epochs, more) in [("a", "2", []), ("a", "4", ["--resume"]), ("b", "4", [])] {
            let run = try await BuiltProgram.run(
                shop.finetuning(
                    "tiny.safetensors", output, "--schedule", "constant", "--epochs", epochs,
                    "--name", "same") + more)
            try #require(run.status == 0, "\(output) \(epochs): \(run.errors)")
        }
        for file in ["model.safetensors", "progress.svg"] {
            #expect(try shop.bytes("a/\(file)") == shop.bytes("b/\(file)"), "\(file)")
        }
    }

    @Test("The flow's loss is logged where it is learnt, resumed to the same bits, and absent otherwise")
    func flowWeight() async throws {
        let shop = try Workshop()
        try TinyModel.write(to: shop.scratch.path("tiny.safetensors"), seed: 1, hasHead: false)
        func tune(_ output: String, _ epochs: Int, _ more: [String]) async throws -> BuiltProgram.Outcome {
            let outcome = try await BuiltProgram.run(
                shop.finetuning(
                    "tiny.safetensors", output, "--schedule", "constant", "--epochs", "\(epochs)", "--name", "same")
                    + more)
            try #require(outcome.status == 0, "\(outcome.errors)")
            return outcome
        }
        let weighted = ["--flow-weight", "0.5", "--flow-share", "0.5", "--step-log", shop.scratch.path("steps")]
        let said = try await tune("a", 1, weighted)
        #expect(said.errors.contains(", flow loss ") && said.errors.contains(", validation flow loss "))
        _ = try await tune("a", 2, weighted + ["--resume"])
        _ = try await tune("b", 2, ["--flow-weight", "0.5", "--flow-share", "0.5"])
        for file in ["model.safetensors", "progress.svg"] {
            #expect(try shop.bytes("a/\(file)") == shop.bytes("b/\(file)"), "\(file)")
        }
        func log(_ output: String) throws -> [[Substring]] {
            try String(contentsOfFile: shop.scratch.path("\(output)/log.csv"), encoding: .utf8)
                .split(separator: "\n").map { $0.split(separator: ",", omittingEmptySubsequences: false) }
        }
        let rows = try log("b")
        #expect(rows[0].suffix(2) == ["flow_loss", "validation_flow_loss"])
        #expect(rows.dropFirst().allSatisfy { $0.suffix(2).allSatisfy { Double($0) ?? 0 > 0 } }, "\(rows)")
        #expect(try String(contentsOfFile: shop.scratch.path("steps"), encoding: .utf8).contains("\"flowLoss\":"))
        #expect(String(decoding: try shop.bytes("a/progress.svg"), as: UTF8.self).contains("Loss of the flow"))
        _ = try await tune("plain", 1, [])
        #expect(try log("plain")[0].last == "seconds")
        let other = try await BuiltProgram.run([
            "finetune", "--resume", "--flow-weight", "1", "-o", shop.scratch.path("a"),
        ])
        #expect(other.status == 64 && other.errors.contains("--flow-weight was 0.5 and is 1.0"), "\(other.errors)")
        for option in [["--flow-share", "0.5"], ["--flow-data", shop.scratch.folder.path]] {
            let useless = try await BuiltProgram.run(shop.finetuning("tiny.safetensors", "useless") + option)
            #expect(
                useless.status == 64 && useless.errors.contains("without --flow-weight, no loss of the flow is taken"),
                "\(useless.errors)")
        }
    }

    @Test("The flow may learn from other images without labels, and a run continues only with the same ones")
    func flowData() async throws {
        let shop = try Workshop()
        try TinyModel.write(to: shop.scratch.path("tiny.safetensors"), seed: 1, hasHead: false)
        var generator = SeededGenerator(seed: 6)
        for index in 0..<5 {
            let rows = (0..<16).map { _ in generator.floats(48).map { UInt8(128 + 60 * $0) } }
            let png = PNGBuilder(width: 16, height: 16, colorType: .rgb, rows: rows).file
            try shop.scratch.write(png, to: "unlabelled/\(index).png")
        }
        try shop.scratch.write("no image".utf8, to: "unlabelled/damaged.png")
        func tune(_ output: String, _ more: [String]) async throws -> BuiltProgram.Outcome {
            try await BuiltProgram.run(
                shop.finetuning(
                    "tiny.safetensors", output, "--schedule", "constant", "--name", "same", "--flow-weight", "0.5")
                    + more)
        }
        let unlabelled = ["--flow-data", shop.scratch.path("unlabelled"), "--damaged-limit", "20%"]
        let forecast = try await tune("a", unlabelled + ["--dry-run"])
        #expect(forecast.output.contains(", 6 for the loss of the flow\n"), "\(forecast.output)\(forecast.errors)")
        let first = try await tune("a", unlabelled + ["--epochs", "1"])
        #expect(first.status == 0 && first.errors.contains("damaged.png"), "\(first.errors)")
        let second = try await BuiltProgram.run(["finetune", "--resume", "--epochs", "2", "-o", shop.scratch.path("a")])
        #expect(second.status == 0, "\(second.errors)")
        _ = try await tune("b", unlabelled + ["--epochs", "2"])
        _ = try await tune("own", ["--epochs", "2"])
        #expect(try shop.bytes("a/model.safetensors") == shop.bytes("b/model.safetensors"))
        #expect(try shop.bytes("a/model.safetensors") != shop.bytes("own/model.safetensors"))
        let other = try await BuiltProgram.run([
            "finetune", "--resume", "--flow-data", shop.data, "-o", shop.scratch.path("a"),
        ])
        #expect(other.status == 64 && other.errors.contains("the fingerprint of --flow-data was"), "\(other.errors)")
        let missing = try await tune("c", ["--flow-data", shop.scratch.path("nowhere")])
        #expect(missing.status == 66 && missing.errors.contains("nowhere"), "\(missing.errors)")
    }

    @Test("Where files can't grow it says so, and leaves the last good state and model")
    func fullDisk() async throws {
        let shop = try Workshop()
        let first = try await BuiltProgram.run(shop.pretraining("out", "--epochs", "1"))
        try #require(first.status == 0, "\(first.errors)")
        let (state, model) = (try shop.bytes("out/state.safetensors"), try shop.bytes("out/model.safetensors"))
        // 64 blocks of 512 bytes, less than a state.
        let command = ([BuiltProgram.executable] + shop.pretraining("out", "--epochs", "2", "--resume"))
            .map { "'\($0)'" }.joined(separator: " ")
        let script = shop.scratch.path("limited.sh")
        try shop.scratch.write(
            "ulimit -f 64\nexec \(command) 2>'\(shop.scratch.path("errors"))'\n".utf8, to: "limited.sh")
        let ended = try #require(popen("/bin/sh '\(script)'", "re"))
        #expect(pclose(ended) >> 8 & 0xFF == Console.ExitStatus.unwritableOutput.rawValue)
        let errors = try String(contentsOfFile: shop.scratch.path("errors"), encoding: .utf8)
        #expect(errors.contains("can't write") && errors.contains("state.safetensors"), "\(errors)")
        #expect(try shop.bytes("out/state.safetensors") == state)
        #expect(try shop.bytes("out/model.safetensors") == model)
    }

    @Test("What is held back depends on --split-seed, not on --seed, and a run goes on with what it held back only")
    @MainActor
    func splitSeed() throws {
        let shop = try Workshop()
        let program = Program(
            name: "tool", abstract: "", version: "1", environmentPrefix: "TOOL_", commands: [PretrainCommand.command])
        func data(_ more: [String] = []) throws -> TrainingData {
            let arguments = shop.pretraining("out", "--validation", "0.25") + more
            guard case .run(_, let parsed) = try program.invocation(arguments, environment: [:]) else {
                throw UsageError("help is shown", remedy: "none")
            }
            return try TrainingData(parsed, ignoringClasses: false)
        }
        func held(_ more: String...) throws -> [Int]? { try data(more).split.validation?.indices }
        #expect(try held() == held("--seed", "2"))
        #expect(try held() != held("--split-seed", "2"))
        // A state of before there was a seed of its own, whose images were divided by --seed.
        #expect(try data(["--seed", "2", "--split-seed", "2"]).settings == data().settings)
        func text(_ more: String...) throws -> String? {
            TrainingSettings(images: try data(more).settings).descriptions["--validation"]
        }
        #expect(try text() == "0.25")
        #expect(try text("--seed", "2") == "0.25 with --split-seed 1")
        #expect(try text("--split-seed", "2") == "0.25 with --split-seed 2")
    }

    @Test("A new head is made where another width is asked for, and kept where none is")
    func headWidth() async throws {
        struct Inspected: Decodable {
            struct Head: Decodable { let hiddenWidth: Int }
            let head: Head
        }
        let shop = try Workshop()
        try TinyModel.write(to: shop.scratch.path("tiny.safetensors"), seed: 1, hasHead: false)
        let runs = [
            ("tiny.safetensors", "a", ["--head-width", "5"], 5), ("a/model.safetensors", "b", [], 5),
            ("a/model.safetensors", "c", ["--head-width", "7"], 7),
        ]
        for (base, output, more, width) in runs {
            let tuned = try await BuiltProgram.run(shop.finetuning(base, output, "--epochs", "1") + more)
            try #require(tuned.status == 0, "\(output): \(tuned.errors)")
            let model = shop.scratch.path("\(output)/model.safetensors")
            let description = try await BuiltProgram.run(["inspect", "--json", model])
            let inspected = try JSONDecoder().decode(Inspected.self, from: Data(description.output.utf8))
            #expect(inspected.head.hiddenWidth == width, "\(output)")
        }
    }

    @Test("What can't be trained is refused with its reason and an exit status of its own")
    func refusals() async throws {
        let shop = try Workshop()
        func expect(_ arguments: [String], _ status: Console.ExitStatus, _ message: String) async throws {
            let outcome = try await BuiltProgram.run(arguments)
            #expect(outcome.status == status.rawValue && outcome.errors.contains(message), "\(outcome.errors)")
        }
        try await expect(shop.pretraining("a", "--resume"), .unreadableInput, "nothing to resume")
        try shop.scratch.write("{\"modelChannels\":32}".utf8, to: "short.json")
        try await expect(
            shop.pretraining("a", "--architecture", shop.scratch.path("short.json")), .unusableData,
            "residualBlocks is missing")
        try await expect(shop.pretraining("a", "--image-size", "24", "--validation", "1.5"), .usage, "--validation")
        try shop.scratch.write("kept".utf8, to: "kept/model.safetensors")
        try await expect(shop.pretraining("kept"), .usage, "already exists")
        #expect(try shop.bytes("kept/model.safetensors") == Data("kept".utf8))

        try TinyModel.write(to: shop.scratch.path("tiny.safetensors"), seed: 1, hasHead: false)
        for option in ["--forward-steps", "--gradient-steps"] {
            try await expect(shop.finetuning("tiny.safetensors", "b", option, "0"), .usage, "through at least one step")
        }
        try await expect(shop.finetuning("missing", "b"), .unreadableInput, "missing")
        try await expect(shop.finetuning("tiny.safetensors", "b", "--t-cutoff", "2"), .unusableData, "grid.cutoff")
        let begun = try await BuiltProgram.run(shop.headTraining("tiny.safetensors", "begun"))
        try #require(begun.status == 0, "\(begun.errors)")
        try shop.scratch.write("no image".utf8, to: "data/dark/bad.png")
        try await expect(
            shop.finetuning("tiny.safetensors", "b", "--damaged", "fail"), .unusableData, "dark/bad.png")
        // Before features are computed, at which the bad image would be noticed.
        for (output, more, status, message) in [
            ("begun", [], .usage, "already exists"), ("begun", ["--resume"], .usage, "belongs to another run"),
            ("fresh", ["--resume"], .unreadableInput, "nothing to resume"),
        ] as [(String, [String], Console.ExitStatus, String)] {
            try await expect(
                shop.headTraining("tiny.safetensors", output) + more, status, message)
        }
        try await expect(shop.pretraining("c", "--damaged", "fail"), .unusableData, "dark/bad.png")
    }
}
