import Arguments
import FlowModel
import Foundation
import TestBench
import Testing

@testable import CommandLineInterface
@testable import Training

/// Keeps the promise that `pretrain MODEL` goes on from the model, and contradicts nothing that the model states.
@Suite("Pretraining that begins with a model")
struct PretrainingFromModelTests {
    private static func line(_ shop: Workshop, _ output: String, _ more: [String]) -> [String] {
        ["pretrain", "--data", shop.data, "--batch-size", "8", "--samples", "0", "-o", shop.scratch.path(output)] + more
    }

    @MainActor
    private static func pretrain(_ line: [String]) throws {
        #expect(try PretrainCommand.run(try parsed(line)) == .success)
    }

    /// The workshop's network as a model with a head, on another grid than pretraining's own.
    private static func writeBase(_ shop: Workshop, flow: Flow = .path(.otcfm)) throws -> String {
        let path = shop.scratch.path("base.safetensors")
        var base = TinyModel.configuration(name: "first")
        base.architecture.channelMultipliers = [1]
        (base.architecture.attentionDownsampling, base.architecture.heads) = ([], 2)
        (base.flow, base.grid) = (flow, TimeGridConfiguration(count: 9))
        base.defaultTap = flow.path == .otcfm ? "0.5/middle" : "end/pooled"
        try TinyModel.write(base, to: path, seed: 1)
        return path
    }

    @Test("Weights and their average begin at the model's; name, grid and tap are kept, and the head is left out")
    @MainActor
    func begins() throws {
        let shop = try Workshop()
        let path = try Self.writeBase(shop)
        try Self.pretrain(Self.line(shop, "out", [path, "--epochs", "1", "--learning-rate", "1e-9"]))
        let (base, model) = (try ModelFile(path: path), try ModelFile(path: shop.scratch.path("out/model.safetensors")))
        let (before, after) = (base.configuration, model.configuration)
        #expect(after.name == "first" && after.grid == before.grid && after.flow == before.flow)
        #expect(after.defaultTap == "0.5/middle" && after.head == nil && after.labels == nil)
        for parameter in model.parameters {
            let moved = zip(try base.tensor(parameter.key), try model.tensor(parameter.key)).map { abs($0 - $1) }
            #expect(moved.max()! < 1e-7, "\(parameter.key)")
        }
        // An average that keeps nearly all of its beginning has hardly left it after steps that go far.
        try Self.pretrain(
            Self.line(shop, "far", [path, "--epochs", "1", "--learning-rate", "0.01", "--ema-decay", "0.99999"]))
        let key = "unet.out.2.weight"
        let far = try ModelFile(path: shop.scratch.path("far/model.safetensors")).tensor(key)
        let moved = zip(try base.tensor(key), far).map { abs($0 - $1) }.max()!
        #expect(moved > 0 && moved < 1e-5)
    }

    @Test("A run that is resumed ends as one that was never interrupted, and another model is another run")
    @MainActor
    func resumes() throws {
        let shop = try Workshop()
        let path = try Self.writeBase(shop)
        try Self.pretrain(Self.line(shop, "out", [path, "--epochs", "1"]))
        try Self.pretrain(["pretrain", "--resume", "--epochs", "2", "-o", shop.scratch.path("out")])
        try Self.pretrain(Self.line(shop, "straight", [path, "--epochs", "2"]))
        #expect(try shop.bytes("out/model.safetensors") == shop.bytes("straight/model.safetensors"))
        let other = try #require(throws: TrainingError.self) {
            let model = shop.scratch.path("straight/model.safetensors")
            try Self.pretrain(["pretrain", model, "--resume", "-o", shop.scratch.path("out")])
        }
        #expect(other.description.contains("MODEL was "))
    }

    static let published = [
        ParametrisedFlow(prediction: .velocity, times: .uniform(data: 1, noise: 0.001), timeScale: 999),
        ParametrisedFlow(
            prediction: .epsilon, times: .noise(.timesteps(.linear(count: 100, start: 0.001, end: 0.2)))),
        ParametrisedFlow(prediction: .edm, times: .noise(.levels(smallest: 0.002, largest: 80, rho: 7))),
    ]

    @Test("A published flow goes on to learn what its network predicts", arguments: published.indices)
    @MainActor
    func publishedFlow(index: Int) throws {
        let shop = try Workshop()
        let flow = Self.published[index]
        let path = try Self.writeBase(shop, flow: .parametrised(flow))
        try Self.pretrain(
            Self.line(
                shop, "out",
                [path, "--epochs", "4", "--learning-rate", "0.002", "--validation", "0.25", "--ema-decay", "0"]))
        let model = try ModelFile(path: shop.scratch.path("out/model.safetensors"))
        #expect(model.configuration.flow == .parametrised(flow))
        // On images held back, times and noise are the same every time.
        let log = try String(contentsOfFile: shop.scratch.path("out/log.csv"), encoding: .utf8)
        let losses = try log.split(separator: "\n").dropFirst().map {
            try #require(Double($0.split(separator: ",", omittingEmptySubsequences: false)[5]))
        }
        #expect(losses.count == 4 && losses[3] < losses[0], "\(losses)")
    }

    @Test("What the model states may be said again, and is refused if it is said otherwise")
    @MainActor
    func contradictions() throws {
        let shop = try Workshop()
        let path = try Self.writeBase(shop)
        for (more, source) in [
            ([path, "--coupling", "icfm"], "--coupling"), ([path, "--image-size", "32"], "--image-size"),
            ([path, "--architecture", shop.architecture, "--image-size", "32"], "--architecture"),
            (["--coupling", "icfm"], "--architecture"), (["--architecture", shop.architecture], "--coupling"),
        ] {
            let error = try #require(throws: UsageError.self) { try Self.pretrain(Self.line(shop, "out", more)) }
            #expect(error.source == source)
            #expect(error.description.contains("MODEL"), "\(error)")
        }
        try Self.pretrain(
            Self.line(
                shop, "out",
                [path, "--architecture", shop.architecture, "--coupling", "otcfm", "--epochs", "1", "--name", "new"]))
        #expect(try ModelFile(path: shop.scratch.path("out/model.safetensors")).configuration.name == "new")
    }
}
