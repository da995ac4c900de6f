import FlowModel

/// A published checkpoint, or several that differ in their weights alone, and what no file of it states. docs/families.md has their
/// sources and licences.
public struct PublishedModel: Sendable, Equatable {
    /// What `--as` calls it.
    public let name: String
    /// The name of its dialect.
    public let dialect: String
    /// How many parameters its file has, embeddings of classes and augmentations included; nil if that isn't known.
    let parameterCount: Int?
    /// Its network in three output channels and without classes; nil if that isn't known.
    package let architecture: UNetArchitecture?
    /// The order of the rows of `qkv`; nil if the dialect states it.
    let order: QueryKeyValueOrder?
    /// What it was trained on.
    let flow: Flow

    private init(
        _ name: String, _ dialect: String, parameters: Int?, _ architecture: UNetArchitecture?,
        order: QueryKeyValueOrder? = nil, flow: Flow
    ) {
        self.name = name
        self.dialect = dialect
        parameterCount = parameters
        self.architecture = architecture
        self.order = order
        self.flow = flow
    }

    /// Height and width of its images.
    var imageSize: Int? { architecture?.imageSize }

    /// How its attention is divided into heads.
    var heads: AttentionHeads? {
        architecture.map { network in network.variant.headWidth.map { .width($0) } ?? .count(network.heads) }
    }

    /// The model of that name; nil if there is none.
    public init?(named name: String) {
        guard let model = Self.all.first(where: { $0.name == name }) else { return nil }
        self = model
    }
}

extension PublishedModel {
    /// Every one that can be imported.
    public static let all: [PublishedModel] = openAI + others

    private static let openAI = [
        PublishedModel(
            "improved-diffusion-cifar10", "improved-diffusion", parameters: 52_546_438, .u32,
            flow: noise(.cosine(count: 4000), timeScale: 0.25)),
        PublishedModel(
            "improved-diffusion-imagenet64", "improved-diffusion", parameters: 121_063_942, .u64,
            flow: noise(.cosine(count: 4000), timeScale: 0.25)),
        PublishedModel(
            "improved-diffusion-imagenet64-classes", "improved-diffusion", parameters: 273_049_350,
            .improvedImageNet64Classes, flow: noise(.cosine(count: 4000))),
        PublishedModel(
            "improved-diffusion-lsun", "improved-diffusion", parameters: 113_676_678, .improvedLSUN,
            flow: noise(linear)),
        PublishedModel(
            "guided-diffusion-64", "guided-diffusion", parameters: 295_904_454, .adm64,
            order: .thirds, flow: noise(.cosine(count: 1000))),
        PublishedModel(
            "guided-diffusion-128", "guided-diffusion", parameters: 421_529_606, .adm128,
            order: .heads, flow: noise(linear)),
        PublishedModel(
            "guided-diffusion-256", "guided-diffusion", parameters: 553_838_086, .adm256,
            order: .heads, flow: noise(linear)),
        PublishedModel(
            "guided-diffusion-256-uncond", "guided-diffusion", parameters: 552_814_086, .adm256, order: .heads,
            flow: noise(linear)),
        PublishedModel(
            "guided-diffusion-lsun", "guided-diffusion", parameters: 552_814_086, .adm256,
            order: .heads, flow: noise(linear)),
        PublishedModel(
            "consistency-models-edm-imagenet64", "consistency_models", parameters: 295_899_267, .adm64,
            flow: levels(.edm, timeScale: 1000)),
        PublishedModel(
            "consistency-models-edm-lsun", "consistency_models", parameters: 526_304_771, .adm256Additive,
            flow: levels(.edm, timeScale: 1000)),
    ]

    private static let others = [
        PublishedModel(
            "torchcfm-cifar10", "torchcfm", parameters: 35_746_307, .torchCFM, flow: .path(.icfm)
        ),
        PublishedModel(
            "torchcfm-cifar10-otcfm", "torchcfm", parameters: 35_746_307, .torchCFM,
            flow: .path(.otcfm)),
        PublishedModel(
            "diffusers-cm-edm-imagenet64", "diffusers", parameters: 295_899_267, .adm64,
            flow: levels(.edm, timeScale: 1000)),
        PublishedModel("edm-cifar10", "EDM", parameters: 55_733_891, .edmCIFAR10, flow: levels(.edm)),
        PublishedModel("edm-cifar10-classes", "EDM", parameters: 55_735_299, .edmCIFAR10, flow: levels(.edm)),
        PublishedModel("edm-ffhq-64", "EDM", parameters: 61_805_571, .edm64, flow: levels(.edm)),
        PublishedModel("edm-afhqv2-64", "EDM", parameters: 61_805_571, .edm64, flow: levels(.edm)),
        PublishedModel("edm-imagenet64", "EDM", parameters: 295_899_267, .adm64, flow: levels(.edm)),
        PublishedModel("edm-baseline-cifar10-vp", "EDM", parameters: nil, nil, flow: levels(.vp)),
        PublishedModel(
            "rectified-flow-cifar10", "RectifiedFlow", parameters: 61_804_419, .rectifiedFlow,
            flow: .parametrised(
                ParametrisedFlow(
                    prediction: .velocity, times: .uniform(data: 1, noise: 0.001), timeScale: 999))),
    ]

    private static let linear = NoiseSchedule.Betas.linear(count: 1000, start: 0.0001, end: 0.02)

    private static func noise(_ betas: NoiseSchedule.Betas, timeScale: Double = 1) -> Flow {
        .parametrised(ParametrisedFlow(prediction: .epsilon, times: .noise(.timesteps(betas)), timeScale: timeScale))
    }

    private static func levels(_ prediction: Prediction, timeScale: Double = 1) -> Flow {
        .parametrised(
            ParametrisedFlow(
                prediction: prediction, times: .noise(.levels(smallest: 0.002, largest: 80, rho: 7)),
                timeScale: timeScale))
    }

    /// Checks that a source has as many parameters, since most other models' tensors would be read without a word.
    ///
    /// - Throws: `ImportError`.
    func requireSize(of source: SourceTensors) throws {
        guard let parameterCount else { return }
        let count = source.names.reduce(0) { sum, name in
            source[name].map { sum + (Self.isBuffer(name) ? 0 : $0.shape.reduce(1, *)) } ?? sum
        }
        guard count == parameterCount else {
            throw ImportError.options(
                "the file has \(count) parameters, but --as \(name) is a model of \(parameterCount); name another, or state its "
                    + "settings by options")
        }
    }

    private static func isBuffer(_ name: String) -> Bool { name.hasSuffix(".resample_filter") || name == "sigmas" }
}
