import Console
import Foundation
import TestBench
import TestFixtures
import Testing

@testable import CommandLineInterface
@testable import Evaluation

/// Keeps the promise that "pretrain without labels, fine-tune on some classes, see what the embeddings tell of others, and
/// record the best tap" are plain commands.
@Suite("Classes that a model has never seen")
struct HeldOutClassesTests {
    private static func expect(
        _ arguments: [String], _ status: Console.ExitStatus, _ messages: String...
    ) async throws {
        let outcome = try await BuiltProgram.run(arguments)
        #expect(outcome.status == status.rawValue, "\(outcome.errors)")
        for message in messages { #expect(outcome.errors.contains(message), "\(outcome.errors)") }
    }

    @Test("Fine-tuned on some classes, probed on the others at every point of the grid, the tap recorded")
    func wholeWay() async throws {
        let shop = try Workshop(classes: ["black", "dark", "light", "white"])
        let pretrained = try await BuiltProgram.run(shop.pretraining("pretrained", "--epochs", "2"))
        try #require(pretrained.status == 0, "\(pretrained.errors)")
        let tuning = shop.finetuning(
            "pretrained/model.safetensors", "tuned", "--epochs", "6", "--classes", "white,black")
        let tuned = try await BuiltProgram.run(tuning)
        try #require(tuned.status == 0, "\(tuned.errors)")
        let model = shop.scratch.path("tuned/model.safetensors")
        #expect(try await BuiltProgram.run(["inspect", model]).output.contains("black, white\n"))

        let plot = shop.scratch.path("cutoffs.svg")
        let evaluation = [
            "evaluate", "--model", model, "--no-head", "--data", shop.data, "--train", shop.data, "--classes",
            "dark,light", "--knn", "1", "--probe", "--at", "all", "--from", "pooled,middle",
        ]
        let outcome = try await BuiltProgram.run(evaluation + ["--json", "--plot", plot])
        try #require(outcome.status == 0, "\(outcome.errors)")
        let report = try JSONDecoder().decode(EvaluationReport.self, from: Data(outcome.output.utf8))
        #expect(report.images == 24 && report.top1 == nil)
        #expect(report.probes.map(\.steps) == [0, 0, 1, 1, 2, 2])
        #expect(report.probes.map(\.place) == ["pooled", "middle", "pooled", "middle", "pooled", "middle"])
        #expect(report.probes.map(\.time) == report.neighbours.map(\.time))
        // Measured on what they were trained on, and among the images themselves.
        #expect(report.probes.allSatisfy { $0.accuracy == 1 && $0.references == 24 && $0.iterations > 0 })
        #expect(report.neighbours.allSatisfy { $0.accuracy == 1 })
        let drawing = try String(contentsOfFile: plot, encoding: .utf8)
        #expect(
            ["<svg", ">middle<", ">pooled<", ">Linear probe<", ">1 nearest neighbours<"].allSatisfy(drawing.contains))
        let table = try await BuiltProgram.run(evaluation)
        #expect(table.output.contains("probe    100.0 % at 0.5/middle, trained on 24 images"))

        try await Self.expect(
            tuning.map { $0 == "white,black" ? "white,dark" : $0 } + ["--resume"], .usage,
            "--classes was black,white and is dark,white")
        try await Self.expect(
            shop.finetuning("pretrained/model.safetensors", "one", "--classes", "white"), .unusableData,
            "only one class, white")
        try await Self.expect(
            shop.finetuning("pretrained/model.safetensors", "none", "--classes", "white,grey"), .unusableData,
            "no class \"grey\"", "\"black\", \"dark\", \"light\", \"white\"")
    }

    @Test("What can't be probed is refused with its reason")
    func refusals() async throws {
        let shop = try Workshop(classes: ["dark", "light"])
        let model = shop.scratch.path("tiny.safetensors")
        try TinyModel.write(to: model, seed: 1, hasHead: false)
        let evaluation = ["evaluate", "--model", model, "--data", shop.data, "--probe"]
        try await Self.expect(evaluation, .usage, "--probe", "give --train")
        let other = try Workshop(classes: ["dark", "grey"])
        try await Self.expect(
            evaluation + ["--train", other.data], .unusableData, "lacks the class 'light'", "--classes")
        try await Self.expect(
            evaluation + ["--train", shop.data, "--classes", "dusk"], .unusableData, "no class \"dusk\"")
        try await Self.expect(
            ["evaluate", "--data", shop.data, "--knn", "0", "--plot", shop.scratch.path("empty.svg")], .usage, "--plot",
            "nothing to draw")
        try await Self.expect(evaluation + ["--train", shop.data, "--at", "every"], .usage, "all, or a list")
    }
}

@Suite("headwater convert")
struct ConvertCommandTests {
    private struct Inspected: Decodable {
        let name: String
        let defaultTap: String
        let storedType: String
        let pass: Pass

        struct Pass: Decodable {
            let times: [Float]
        }
    }

    private static func inspected(_ path: String) async throws -> Inspected {
        let outcome = try await BuiltProgram.run(["inspect", "--json", path])
        return try JSONDecoder().decode(Inspected.self, from: Data(outcome.output.utf8))
    }

    private struct Row: Decodable {
        struct Tap: Decodable {
            let place: String
            let embedding: [Float]
        }
        let taps: [Tap]
    }

    @Test("Another default tap is what embeddings are read at, and what the self-test records; the rest is as it was")
    func recordsTap() async throws {
        let scratch = try Scratch()
        let (model, converted) = (scratch.path("model.safetensors"), scratch.path("converted.safetensors"))
        try TinyModel.write(to: model, name: "first", seed: 1)
        let outcome = try await BuiltProgram.run(["convert", model, "--default-tap", "end/middle", "-o", converted])
        try #require(outcome.status == 0, "\(outcome.errors)")
        #expect(outcome.output.contains("first, default tap end/middle"))
        let text = try await BuiltProgram.run(["inspect", converted]).output
        #expect(text.contains("numbers at end/middle and 3 logits recorded"))
        #expect(try await Self.inspected(converted).storedType == "F32")

        let image = TestFixtures.path("images/rgb-32x32.jpg")
        let before = try await BuiltProgram.run(["embed", "--model", model, "--from", "middle", image])
        let after = try await BuiltProgram.run(["embed", "--model", converted, image])
        let (expected, found) = (try before.decodedLines(Row.self)[0].taps, try after.decodedLines(Row.self)[0].taps)
        #expect(found.map(\.place) == ["middle"] && found[0].embedding == expected[0].embedding)
        // As in a request that names times only.
        let timed = try await BuiltProgram.run(["embed", "--model", converted, "--at", "1,end", image])
        #expect(try timed.decodedLines(Row.self)[0].taps.map(\.place) == ["middle", "middle"])
    }

    @Test("A name and a type of weights are changed in place, what isn't given stays")
    func inPlace() async throws {
        let scratch = try Scratch()
        let model = scratch.path("model.safetensors")
        try TinyModel.write(to: model, seed: 1)
        for more in [["--default-tap", "1/up.0"], ["--name", "second", "--dtype", "f16"]] {
            let outcome = try await BuiltProgram.run(["convert", model, "-o", model] + more)
            try #require(outcome.status == 0, "\(outcome.errors)")
        }
        let found = try await Self.inspected(model)
        #expect(found.name == "second" && found.defaultTap == "1.0/up.0" && found.storedType == "F16")
    }

    @Test("Another grid, or the model's own cut elsewhere; one without a step is refused, as is a tap that it hasn't")
    func anotherGrid() async throws {
        let scratch = try Scratch()
        let (model, converted) = (scratch.path("model.safetensors"), scratch.path("converted.safetensors"))
        try TinyModel.write(to: model, seed: 1)
        func convert(_ model: String, _ flags: [String]) async throws -> BuiltProgram.Outcome {
            try await BuiltProgram.run(["convert", model, "-o", converted] + flags)
        }
        let grids: [(flags: [String], times: [Float])] = [
            (["--t-span", "5", "--t-cutoff", "2"], [1, 0.75, 0.5]), (["--t-span", "3"], [1, 0.5, 0]),
            (["--t-cutoff", "2"], [1, 2.0 / 3]), ([], [1, 2.0 / 3, 1.0 / 3, 0]),
        ]
        for (flags, times) in grids {
            let outcome = try await convert(model, flags)
            try #require(outcome.status == 0, "\(outcome.errors)")
            let found = try await Self.inspected(converted).pass.times
            #expect(found.count == times.count && zip(found, times).allSatisfy { abs($0 - $1) < 1e-6 }, "\(found)")
        }
        let stepless = try await convert(model, ["--t-span", "5", "--t-cutoff", "4"])
        #expect(stepless.status == 65 && stepless.errors.contains("grid.cutoff"), "\(stepless.errors)")
        try #require(try await convert(model, ["--default-tap", "0/middle"]).status == 0)
        let cut = try await convert(converted, ["--t-cutoff", "2"])
        #expect(cut.status == 64 && cut.errors.contains("--default-tap"), "\(cut.errors)")
    }

    @Test(
        "A tap that the model doesn't have is refused, and nothing is written", arguments: ["0.3/middle", "end/up.99"])
    func refuses(tap: String) async throws {
        let scratch = try Scratch()
        let (model, converted) = (scratch.path("model.safetensors"), scratch.path("converted.safetensors"))
        try TinyModel.write(to: model, seed: 1)
        let outcome = try await BuiltProgram.run(["convert", model, "--default-tap", tap, "-o", converted])
        #expect(outcome.status == 64 && outcome.errors.contains("--default-tap"), "\(outcome.errors)")
        #expect(!FileManager.default.fileExists(atPath: converted))
        let malformed = try await BuiltProgram.run(["convert", model, "--default-tap", "middle", "-o", converted])
        #expect(malformed.status == 64 && malformed.errors.contains("such as end/middle"))
    }
}
