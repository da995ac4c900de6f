import FlowModel
import Testing

@testable import ModelImport

extension PublishedModel: CustomTestStringConvertible {
    /// Reports show the name alone.
    public var testDescription: String { name }
}

@Suite("Published models") struct PublishedModelTests {
    /// The architecture of a published model, from its authors' flags, and what its file has more than the model file.
    struct Description: Sendable, CustomTestStringConvertible {
        let names: [String]
        let architecture: UNetArchitecture
        let outputChannels: Int
        /// Parameters of embeddings, by the width of the first level.
        let embeddings: @Sendable (_ channels: Int) -> Int

        init(
            _ names: String..., width: Int, multipliers: [Double], blocks: Int, rates: [Int], imageSize: Int,
            heads: AttentionHeads = .count(1), outputs: Int = 3, _ variant: UNetVariant,
            embeddings: @escaping @Sendable (Int) -> Int = { _ in 0 }
        ) {
            self.names = names
            var variant = variant
            if case .width(let width) = heads { variant.headWidth = width }
            let count = if case .count(let count) = heads { count } else { 1 }
            architecture = UNetArchitecture(
                modelChannels: width, residualBlocks: blocks, channelMultipliers: multipliers,
                attentionDownsampling: rates, heads: count, imageSize: imageSize, variant: variant)
            outputChannels = outputs
            self.embeddings = embeddings
        }

        var testDescription: String { names[0] }
    }

    private static func adm(_ modulation: UNetVariant.Modulation = .film) -> UNetVariant {
        var variant = UNetVariant.reference
        (variant.modulation, variant.resampling) = (modulation, .residual)
        return variant
    }

    private static var additive: UNetVariant {
        var variant = UNetVariant.reference
        variant.modulation = .additive
        return variant
    }

    /// 1000 classes' embeddings of four times the channels.
    private static let classes: @Sendable (Int) -> Int = { 1000 * 4 * $0 }
    /// EDM's augmentations, of which there are nine.
    private static let augmentations: @Sendable (Int) -> Int = { 9 * $0 }

    static let descriptions = [
        Description(
            "improved-diffusion-cifar10", width: 128, multipliers: [1, 2, 2, 2], blocks: 3, rates: [2, 4],
            imageSize: 32,
            heads: .count(4), outputs: 6, .reference),
        Description(
            "improved-diffusion-imagenet64", width: 128, multipliers: [1, 2, 3, 4], blocks: 3, rates: [4, 8],
            imageSize: 64, heads: .count(4), outputs: 6, .reference),
        Description(
            "improved-diffusion-imagenet64-classes", width: 192, multipliers: [1, 2, 3, 4], blocks: 3, rates: [4, 8],
            imageSize: 64, heads: .count(4), outputs: 6, .reference, embeddings: classes),
        Description(
            "improved-diffusion-lsun", width: 128, multipliers: [1, 1, 2, 2, 4, 4], blocks: 2, rates: [16],
            imageSize: 256, outputs: 6, additive),
        Description(
            "guided-diffusion-64", width: 192, multipliers: [1, 2, 3, 4], blocks: 3, rates: [2, 4, 8], imageSize: 64,
            heads: .width(64), outputs: 6, adm(), embeddings: classes),
        Description(
            "guided-diffusion-128", width: 256, multipliers: [1, 1, 2, 3, 4], blocks: 2, rates: [4, 8, 16],
            imageSize: 128, heads: .count(4), outputs: 6, adm(), embeddings: classes),
        Description(
            "guided-diffusion-256", width: 256, multipliers: [1, 1, 2, 2, 4, 4], blocks: 2, rates: [8, 16, 32],
            imageSize: 256, heads: .width(64), outputs: 6, adm(), embeddings: classes),
        Description(
            "guided-diffusion-256-uncond", "guided-diffusion-lsun", width: 256, multipliers: [1, 1, 2, 2, 4, 4],
            blocks: 2, rates: [8, 16, 32], imageSize: 256, heads: .width(64), outputs: 6, adm()),
        Description(
            "consistency-models-edm-imagenet64", "diffusers-cm-edm-imagenet64", width: 192, multipliers: [1, 2, 3, 4],
            blocks: 3, rates: [2, 4, 8], imageSize: 64, heads: .width(64), adm(), embeddings: classes),
        Description(
            "consistency-models-edm-lsun", width: 256, multipliers: [1, 1, 2, 2, 4, 4], blocks: 2, rates: [8, 16, 32],
            imageSize: 256, heads: .width(64), adm(.additive)),
        Description(
            "torchcfm-cifar10", "torchcfm-cifar10-otcfm", width: 128, multipliers: [1, 2, 2, 2], blocks: 2, rates: [2],
            imageSize: 32, heads: .width(64), additive),
        Description(
            "edm-cifar10", width: 128, multipliers: [2, 2, 2], blocks: 4, rates: [2], imageSize: 32, .ddpmPlusPlus,
            embeddings: augmentations),
        Description(
            "edm-cifar10-classes", width: 128, multipliers: [2, 2, 2], blocks: 4, rates: [2], imageSize: 32,
            .ddpmPlusPlus, embeddings: { 9 * $0 + 10 * $0 + $0 }),
        Description(
            "edm-ffhq-64", "edm-afhqv2-64", width: 128, multipliers: [1, 2, 2, 2], blocks: 4, rates: [4], imageSize: 64,
            .ddpmPlusPlus, embeddings: augmentations),
        Description(
            "edm-imagenet64", width: 192, multipliers: [1, 2, 3, 4], blocks: 3, rates: [2, 4, 8], imageSize: 64,
            heads: .width(64), adm(), embeddings: classes),
        Description(
            "rectified-flow-cifar10", width: 128, multipliers: [1, 2, 2, 2], blocks: 4, rates: [2], imageSize: 32,
            .ddpmPlusPlus),
    ]

    @Test("have the parameters that their authors' networks have", arguments: descriptions)
    func parameters(_ description: Description) throws {
        let architecture = description.architecture
        let network = try architecture.program().parameters.reduce(0) { $0 + $1.count }
        let width = architecture.width(level: 0)
        let outputs = (description.outputChannels - 3) * (9 * width + 1)
        let count = network + outputs + description.embeddings(architecture.modelChannels)
        for name in description.names {
            let model = try #require(PublishedModel(named: name))
            #expect(model.parameterCount == count)
            #expect(model.imageSize ?? architecture.imageSize == architecture.imageSize)
            #expect(
                model.heads.map {
                    $0 == (architecture.variant.headWidth.map { .width($0) } ?? .count(architecture.heads))
                } ?? true)
        }
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
        #expect(Set(names).subtracting(Self.descriptions.flatMap(\.names)) == ["edm-baseline-cifar10-vp"])
    }
}
