import CheckpointFormats
import Digests
import FlowModel
import Foundation
import ModelImport
import TestFixtures
import Testing

/// What a golden case's JSON says.
struct GoldenCase: Decodable {
    struct Network: Decodable {
        let model_channels: Int
        let num_res_blocks: Int
        let attention_resolutions: [Int]
        let channel_mult: [Int]
        let num_heads: Int
    }

    let path: ProbabilityPath
    let image_size: Int
    let classes: Int?
    let t_span: Int
    let t_cutoff: Int?
    let unet: Network

    init(_ name: String) throws {
        self = try JSONDecoder().decode(Self.self, from: Data(TestFixtures.bytes("models/\(name).json")))
    }

    var settings: CheckpointImport.Settings {
        var settings = CheckpointImport.Settings(
            name: "golden", imageSize: image_size, path: path,
            grid: TimeGridConfiguration(count: t_span, cutoff: t_cutoff))
        settings.heads = unet.num_heads
        return settings
    }
}

@Suite("The import of a checkpoint") struct ReferenceCheckpointTests {
    /// Digests of all storages of the state dict, one after another, computed with Python's zipfile.
    static let golden = [
        ("icfm32", "f1edfe508ce4ab3dd8c7a3da5db07c02b1d499d87b03d9aaa10de3f8fe7ba650"),
        ("gvp64-cutoff", "26bceca1226699824ca15592cecd5039cf30d6c83f8b3717d72a09048b509bdc"),
        ("otcfm32-cutoff", "d67b6d3adfe7810cf856f0504334d6c07339ef1b2f2872d5836bcc7c5c1f95e7"),
        ("icfm64-cutoff", "5518697b945d225b9d4bdd445df259f03cc1043cbee12993844cfb2e2ae28fd3"),
        ("pretrained-only-ddp", "fc2b0e7e26f0b81ad3f0f275ff56a5f0c92d994db656ccfacf52cdf7a5676add"),
    ]

    @Test("infers what the reference was configured with, and keeps every weight, bit for bit", arguments: golden)
    func goldenCheckpoint(name: String, digest: String) throws {
        let golden = try GoldenCase(name)
        let archive = try PyTorchArchive(path: TestFixtures.path("models/\(name).pt"))
        let imported = try CheckpointImport(archive, settings: golden.settings)
        let architecture = imported.configuration.architecture
        #expect(architecture.modelChannels == golden.unet.model_channels)
        #expect(architecture.residualBlocks == golden.unet.num_res_blocks)
        #expect(architecture.channelMultipliers == golden.unet.channel_mult.map(Double.init))
        #expect(architecture.attentionDownsampling == golden.unet.attention_resolutions)
        #expect(imported.configuration.head?.classes == golden.classes)
        #expect(imported.configuration.head?.pooledSize == golden.classes.map { _ in 16 })
        try withTemporaryFolder { folder in
            let path = folder.appending(path: "model.safetensors").path
            try imported.write(to: path)
            let model = try ModelFile(path: path)
            #expect(model.configuration == imported.configuration)
            #expect(model.elementTypes == [.f32])
            try model.requireFiniteWeights()
            var hash = SHA256()
            for parameter in model.parameters {
                try model.tensor(parameter.key).withUnsafeBytes { hash.update($0) }
            }
            #expect(hash.finalize().description == digest)
            try imported.write(to: path + "2")
            #expect(try ModelFile(path: path + "2").sha256 == model.sha256)
        }
    }

    // MARK: Made-up checkpoints

    static let architecture = UNetArchitecture(
        modelChannels: 32, residualBlocks: 1, channelMultipliers: [1], attentionDownsampling: [1], heads: 4,
        imageSize: 16)
    static let network = "grlEncoder.diffusionModel.model.model.backbone.unet."

    static func checkpoint(pretrainedOnly: Bool = false) throws -> CheckpointBuilder {
        func tensor(_ key: String, _ shape: [Int]) -> CheckpointBuilder.Tensor {
            .init(key, shape: shape, bytes: Array(repeating: 0, count: 4 * shape.reduce(1, *)))
        }
        var checkpoint = CheckpointBuilder()
        let prefix = pretrainedOnly ? "model.backbone.unet." : network
        checkpoint.tensors = try architecture.program().parameters.map { tensor(prefix + $0.key, $0.shape) }
        if !pretrainedOnly {
            let head = HeadConfiguration(pooledSize: 4, hiddenWidth: 8, classes: 5)
            checkpoint.tensors += try head.parameters(on: architecture.program()).map {
                tensor("grlHead." + $0.key, $0.shape)
            }
        }
        return checkpoint
    }

    @discardableResult static func configuration(
        of checkpoint: CheckpointBuilder, _ adjust: (inout CheckpointImport.Settings) -> Void = { _ in }
    ) throws -> ModelConfiguration {
        var settings = CheckpointImport.Settings(
            name: "made-up", imageSize: 16, path: .icfm, grid: TimeGridConfiguration(count: 8))
        adjust(&settings)
        return try withTemporaryFile(checkpoint.archive()) { path in
            try CheckpointImport(PyTorchArchive(path: path), settings: settings).configuration
        }
    }

    @Test("finds any head's sizes, and none where there is none") func headSizes() throws {
        let head = try Self.configuration(of: Self.checkpoint()).head
        #expect(head == HeadConfiguration(pooledSize: 4, hiddenWidth: 8, classes: 5))
        #expect(try Self.configuration(of: Self.checkpoint(pretrainedOnly: true)).head == nil)
    }

    @Test("removes what wrappers put into keys, wherever it is") func wrappers() throws {
        var checkpoint = try Self.checkpoint()
        for index in checkpoint.tensors.indices {
            let key = checkpoint.tensors[index].key
            checkpoint.tensors[index].key =
                "_orig_mod.module." + key.replacing(".model.", with: ".module.model._orig_mod.")
        }
        #expect(try Self.configuration(of: checkpoint).architecture == Self.architecture)
    }

    struct Fault: Sendable, CustomTestStringConvertible {
        let testDescription: String
        /// What the error must contain.
        let mentions: [String]
        let make: @Sendable (inout [CheckpointBuilder.Tensor]) -> Void

        init(
            _ description: String, mentions: String...,
            make: @escaping @Sendable (inout [CheckpointBuilder.Tensor]) -> Void
        ) {
            (testDescription, self.mentions, self.make) = (description, mentions, make)
        }
    }

    static let faults: [Fault] = [
        Fault("a bias of another length", mentions: "[16]", "[32]") { tensors in
            let index = tensors.firstIndex { $0.key.hasSuffix("middle_block.0.in_layers.2.bias") }!
            tensors[index].shape = [16]
        },
        Fault("a transposed weight", mentions: "[32, 128]", "[128, 32]") { tensors in
            let index = tensors.firstIndex { $0.key.hasSuffix("time_embed.0.weight") }!
            (tensors[index].shape, tensors[index].strides) = ([32, 128], [128, 1])
        },
        Fault("integers for weights", mentions: "I32") { tensors in
            let index = tensors.firstIndex { $0.key.hasSuffix("out.2.bias") }!
            tensors[index].storage = ("IntStorage", 4)
        },
        Fault("a head that isn't a square's", mentions: "47") { tensors in
            let index = tensors.firstIndex { $0.key.hasSuffix("classifier.0.weight") }!
            tensors[index].shape = [47]
        },
        Fault("a missing key", mentions: "out.0.bias", "[32]", "missing") { tensors in
            tensors.removeAll { $0.key.hasSuffix("unet.out.0.bias") }
        },
        Fault("a key left over under the prefix", mentions: "unet.label_emb.weight") {
            $0.append(.init(network + "label_emb.weight", shape: [1]))
        },
        Fault("a key left over elsewhere", mentions: "'ema.weight'") { $0.append(.init("ema.weight", shape: [1])) },
        Fault("a block more than the decoder has", mentions: "output_blocks.2.0", "missing") { tensors in
            tensors += tensors.filter { $0.key.contains("input_blocks.1.") }.map { tensor in
                var copy = tensor
                copy.key.replace("input_blocks.1.", with: "input_blocks.2.")
                return copy
            }
        },
        Fault("two keys that are the same without wrappers", mentions: "out.2.bias", "twice") { tensors in
            var copy = tensors.first { $0.key.hasSuffix("unet.out.2.bias") }!
            copy.key = "module." + copy.key
            tensors.append(copy)
        },
        Fault("both kinds of prefix", mentions: "some begin") {
            $0.append(.init("model.backbone.unet.out.2.bias", shape: [3]))
        },
        Fault("no known prefix", mentions: "none begins", "encoder.a") { $0 = [.init("encoder.a", shape: [1])] },
        Fault("nothing", mentions: "0 keys") { $0 = [] },
        Fault("a fine-tuned model without its head", mentions: "grlHead") { tensors in
            tensors.removeAll { $0.key.hasPrefix("grlHead.") }
        },
        Fault("no first convolution", mentions: "input_blocks.0.0.weight") { tensors in
            tensors.removeAll { $0.key.hasSuffix("input_blocks.0.0.weight") }
        },
        Fault("no residual block", mentions: "0 residual blocks") { tensors in
            tensors.removeAll { $0.key.contains("input_blocks.1.") }
        },
        Fault("a width that isn't a multiple", mentions: "width 31") { tensors in
            let index = tensors.firstIndex { $0.key.hasSuffix("input_blocks.1.0.in_layers.2.weight") }!
            tensors[index].shape[0] = 31
        },
    ]

    @Test("refuses what doesn't fit and names it", arguments: faults) func doesNotFit(_ fault: Fault) throws {
        var checkpoint = try Self.checkpoint()
        fault.make(&checkpoint.tensors)
        let error = #expect(throws: (any Error).self) { try Self.configuration(of: checkpoint) }
        let message = error.map { "\($0)" } ?? ""
        for mention in fault.mentions
        where !mention.hasPrefix("input_blocks.1.0.in") && mention != "classifier.0.weight" {
            #expect(message.contains(mention), "\(message)")
        }
    }

    static let badSettings: [(field: String, settings: CheckpointImport.Settings)] = {
        let good = CheckpointImport.Settings(
            name: "made-up", imageSize: 16, path: .icfm, grid: TimeGridConfiguration(count: 8))
        var bad = ["architecture.heads", "architecture.imageSize", "labels", "grid.cutoff", "name"].map { ($0, good) }
        bad[0].1.heads = 5
        bad[1].1.imageSize = 12
        bad[2].1.labels = ["one"]
        bad[3].1.grid?.cutoff = 7
        bad[4].1.name = ""
        return bad
    }()

    @Test("refuses settings that don't fit the network, by field", arguments: badSettings.indices)
    func settings(index: Int) throws {
        let (field, settings) = Self.badSettings[index]
        let checkpoint = try Self.checkpoint()
        let error = #expect(throws: ConfigurationError.self) {
            try Self.configuration(of: checkpoint) { $0 = settings }
        }
        #expect(error?.field == field)
    }
}
