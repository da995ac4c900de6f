import CheckpointFormats
import FlowModel
import Foundation
import TestFixtures
import Testing

@Suite("A model file") struct ModelFileTests {
    static let configuration = ModelConfiguration(
        name: "small",
        architecture: UNetArchitecture(
            modelChannels: 32, residualBlocks: 1, channelMultipliers: [1], attentionDownsampling: [1], heads: 4,
            imageSize: 16),
        head: HeadConfiguration(pooledSize: 2, hiddenWidth: 4, classes: 2), path: .gvp,
        grid: TimeGridConfiguration(count: 8, cutoff: 5), solver: .ab2, preprocessing: .reference(imageSize: 16),
        labels: ["cat", "chien «égaré»"])

    static func document(_ configuration: ModelConfiguration = configuration) throws -> String {
        String(decoding: try JSONEncoder().encode(configuration), as: UTF8.self)
    }

    /// Opens a file of these tensors under this configuration.
    @discardableResult static func open(
        document: String?, _ change: (inout [TensorDescription]) throws -> Void = { _ in }
    ) throws -> ModelFile {
        let network = try configuration.network()
        var tensors = try
            (network.parameters.map { ("unet." + $0.key, $0.shape) }
            + configuration.head!.parameters(on: network).map { ("head." + $0.key, $0.shape) })
            .map { try TensorDescription(name: $0.0, type: .f16, shape: $0.1) }
        try change(&tensors)
        return try withTemporaryFolder { folder in
            let path = folder.appending(path: "model.safetensors").path
            try SafetensorsWriter.write(tensors, metadata: document.map { ["headwater": $0] } ?? [:], to: path) {
                .bytes(Array(repeating: 0, count: $0.byteCount))
            }
            return try ModelFile(path: path)
        }
    }

    @Test(
        "keeps configuration and weights, in every type that weights are stored in",
        arguments: [ElementType.f32, .f16, .bf16])
    func roundTrip(type: ElementType) throws {
        try withTemporaryFolder { folder in
            let path = folder.appending(path: "model.safetensors").path
            try ModelFile.write(Self.configuration, to: path, storing: type) { key in
                let parameter = try ModelFile.parameters(of: Self.configuration).first { $0.key == key }!
                // Small integers, which all three types hold exactly.
                return (0..<parameter.count).map { Float(($0 + key.utf8.count) % 61) }
            }
            let model = try ModelFile(path: path, access: .onDemand)
            #expect(model.configuration == Self.configuration)
            #expect(model.elementTypes == [type])
            #expect(try model.parameters == ModelFile.parameters(of: Self.configuration))
            #expect(model.byteCount > model.parameterCount * type.byteCount)
            #expect(try model.tensor("unet.out.2.bias") == [15, 16, 17])
            #expect(try model.tensor("head.classifier.3.weight").count == 8)
            #expect(throws: CheckpointError.self) { try model.tensor("out.2.bias") }
        }
    }

    @Test("is not written from an impossible configuration, wrong counts or weights that aren't finite")
    func refusedWrites() throws {
        try withTemporaryFolder { folder in
            let path = folder.appending(path: "model.safetensors").path
            var impossible = Self.configuration
            impossible.architecture.heads = 7
            #expect(throws: ConfigurationError.self) { try ModelFile.write(impossible, to: path) { _ in [] } }
            #expect(throws: CheckpointError.self) { try ModelFile.write(Self.configuration, to: path) { _ in [0] } }
            #expect(throws: ModelError.nonFiniteWeight(key: "unet.time_embed.0.weight", index: 1)) {
                try ModelFile.write(Self.configuration, to: path) { _ in [0, .infinity] }
            }
            let left = try FileManager.default.contentsOfDirectory(atPath: folder.path)
            #expect(left == [])
        }
    }

    @Test("may hold weights that aren't finite until it is asked") func finiteWeights() throws {
        let network = try Self.configuration.network()
        let document = try Self.document()
        let model = try Self.open(document: document)
        try model.requireFiniteWeights()
        #expect(model.network == network)
        try withTemporaryFolder { folder in
            let path = folder.appending(path: "model.safetensors").path
            let tensors = try model.parameters.map { try TensorDescription(name: $0.key, type: .f16, shape: $0.shape) }
            try SafetensorsWriter.write(tensors, metadata: ["headwater": document], to: path) { tensor in
                .floats((0..<tensor.count).map { tensor.name == "unet.out.2.bias" && $0 == 2 ? .nan : 0 })
            }
            #expect(throws: ModelError.nonFiniteWeight(key: "unet.out.2.bias", index: 2)) {
                try ModelFile(path: path).requireFiniteWeights()
            }
        }
    }

    @Test("must have exactly the model's tensors, in their shapes, in a floating-point type") func tensors() throws {
        let document = try Self.document()
        #expect(throws: ModelError.missingTensor(key: "unet.out.2.bias", expected: [3])) {
            try Self.open(document: document) { $0.removeAll { $0.name == "unet.out.2.bias" } }
        }
        #expect(throws: ModelError.unexpectedTensor(key: "unet.extra")) {
            try Self.open(document: document) {
                $0.append(try TensorDescription(name: "unet.extra", type: .f16, shape: [1]))
            }
        }
        #expect(throws: ModelError.wrongShape(key: "unet.time_embed.0.weight", expected: [128, 32], found: [32, 128])) {
            try Self.open(document: document) {
                $0[0] = try TensorDescription(name: $0[0].name, type: .f16, shape: [32, 128])
            }
        }
        #expect(throws: ModelError.wrongElementType(key: "unet.time_embed.0.weight", found: .f64)) {
            try Self.open(document: document) {
                $0[0] = try TensorDescription(name: $0[0].name, type: .f64, shape: [128, 32])
            }
        }
    }

    @Test("needs a configuration") func noConfiguration() {
        #expect(throws: ModelError.noConfiguration) { try Self.open(document: nil) }
    }

    @Test(
        "refuses a configuration that can't be read, saying where",
        arguments: [
            ("", "byte 0"), ("[]", "the document"), ("{}", "formatVersion"),
            ("{\"formatVersion\":1,\"formatVersion\":1}", "twice"),
            (Named("100,000 brackets", String(repeating: "[", count: 100_000)), "deep"), ("null", "null"),
            ("{\"a\":NaN}", "byte 5"),
        ] as [(Named<String>, String)])
    func unreadableConfiguration(document: Named<String>, mention: String) {
        let error = #expect(throws: ModelError.self) { try Self.open(document: document.value) }
        guard case .unreadableConfiguration(let problem) = error else {
            Issue.record("\(error.map(\.description) ?? "")")
            return
        }
        #expect(problem.contains(mention))
    }

    @Test(
        "refuses a configuration with one value out of place, saying which",
        arguments: [
            ("\"gvp\"", "\"v\\u001b[2Jp\"", "path"), ("\"ab2\"", "5", "solver"),
            ("\"heads\":4", "\"heads\":4.5", "fraction"),
            ("\"heads\":4", "\"heads\":null", "heads"),
            ("\"count\":8", "\"count\":99999999999999999999", "too large"),
            ("\"heads\":4", "\"heads\":3", "heads"), ("\"cutoff\":5", "\"cutoff\":1", "cutoff"),
            ("\"formatVersion\":1", "\"formatVersion\":4", "formatVersion"),
        ])
    func invalidConfiguration(original: String, replacement: String, mention: String) throws {
        let document = try Self.document()
        #expect(document.contains(original))
        let changed = document.replacing(original, with: replacement)
        let error = #expect(throws: ModelError.self) { try Self.open(document: changed) }
        #expect(error?.description.contains(mention) == true, "\(error.map(\.description) ?? "")")
        #expect(error?.description.contains("\u{1B}") == false, "a hostile value can't reach the terminal")
    }
}
