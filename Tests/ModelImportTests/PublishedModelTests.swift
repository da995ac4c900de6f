import FlowModel
import Testing

@testable import ModelImport

extension PublishedModel: CustomTestStringConvertible {
    /// Reports show the name alone.
    public var testDescription: String { name }
}

@Suite("Published models") struct PublishedModelTests {
    /// What the file of a published model has more than the model file.
    struct Description: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let outputChannels: Int
        /// Parameters of embeddings, by the width of the first level.
        let embeddings: @Sendable (_ channels: Int) -> Int

        init(_ name: String, outputs: Int = 3, embeddings: @escaping @Sendable (Int) -> Int = { _ in 0 }) {
            testDescription = name
            outputChannels = outputs
            self.embeddings = embeddings
        }
    }

    /// 1000 classes' embeddings of four times the channels.
    private static let classes: @Sendable (Int) -> Int = { 1000 * 4 * $0 }
    /// EDM's augmentations, of which there are nine.
    private static let augmentations: @Sendable (Int) -> Int = { 9 * $0 }

    static let descriptions = [
        Description("improved-diffusion-cifar10", outputs: 6),
        Description("improved-diffusion-imagenet64", outputs: 6),
        Description("improved-diffusion-imagenet64-classes", outputs: 6, embeddings: classes),
        Description("improved-diffusion-lsun", outputs: 6),
        Description("guided-diffusion-64", outputs: 6, embeddings: classes),
        Description("guided-diffusion-128", outputs: 6, embeddings: classes),
        Description("guided-diffusion-256", outputs: 6, embeddings: classes),
        Description("guided-diffusion-256-uncond", outputs: 6),
        Description("guided-diffusion-lsun", outputs: 6),
        Description("consistency-models-edm-imagenet64", embeddings: classes),
        Description("diffusers-cm-edm-imagenet64", embeddings: classes),
        Description("consistency-models-edm-lsun"),
        Description("torchcfm-cifar10"),
        Description("torchcfm-cifar10-otcfm"),
        Description("edm-cifar10", embeddings: augmentations),
        Description("edm-cifar10-classes", embeddings: { 9 * $0 + 10 * $0 + $0 }),
        Description("edm-ffhq-64", embeddings: augmentations),
        Description("edm-afhqv2-64", embeddings: augmentations),
        Description("edm-imagenet64", embeddings: classes),
        Description("rectified-flow-cifar10"),
    ]

    @Test("have networks of as many parameters as their authors' files", arguments: descriptions)
    func parameters(_ description: Description) throws {
        let model = try #require(PublishedModel(named: description.testDescription))
        let architecture = try #require(model.architecture)
        let network = try architecture.program().parameters.reduce(0) { $0 + $1.count }
        let outputs = (description.outputChannels - 3) * (9 * architecture.width(level: 0) + 1)
        #expect(model.parameterCount == network + outputs + description.embeddings(architecture.modelChannels))
    }

    @Test("are of dialects that exist, and have a flow that can be served", arguments: PublishedModel.all)
    func flows(_ model: PublishedModel) throws {
        #expect(CheckpointImport.dialects.contains(model.dialect))
        #expect(throws: Never.self) { try model.flow.validate() }
    }

    @Test("have different names, all of which are described")
    func names() {
        let names = PublishedModel.all.map(\.name)
        #expect(Set(names).count == names.count)
        // Nothing is published about the size of EDM's baseline.
        #expect(Set(names).subtracting(Self.descriptions.map(\.testDescription)) == ["edm-baseline-cifar10-vp"])
    }
}
