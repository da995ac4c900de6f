import FlowModel

/// The networks of published models by their authors' flags, which docs/families.md lists, in three output channels and without
/// embeddings of classes and augmentations.
extension UNetArchitecture {
    private static func network(
        _ width: Int, _ multipliers: [Double], blocks: Int, rates: [Int], imageSize: Int,
        heads: AttentionHeads = .count(1), _ variant: UNetVariant
    ) -> UNetArchitecture {
        var (variant, count) = (variant, 1)
        switch heads {
        case .count(let heads): count = heads
        case .width(let width): variant.headWidth = width
        }
        return UNetArchitecture(
            modelChannels: width, residualBlocks: blocks, channelMultipliers: multipliers, attentionDownsampling: rates,
            heads: count, imageSize: imageSize, variant: variant)
    }

    private static func variant(_ change: (inout UNetVariant) -> Void) -> UNetVariant {
        var variant = UNetVariant.reference
        change(&variant)
        return variant
    }

    private static let additive = variant { $0.modulation = .additive }
    private static let residual = variant { $0.resampling = .residual }
    /// Of UNet2DModel's DDPM models.
    private static let ddpm = variant {
        $0.modulation = .additive
        $0.epsilon = 1e-6
        ($0.sinusoids, $0.frequencyShift) = (.sinesFirst, 1)
        $0.downsamplingPadding = .bottomRight
    }

    /// improved-diffusion's for CIFAR-10, which PRG took over.
    package static let u32 = network(
        128, [1, 2, 2, 2], blocks: 3, rates: [2, 4], imageSize: 32, heads: .count(4), .reference)
    /// The same for ImageNet at 64 pixels.
    package static let u64 = network(
        128, [1, 2, 3, 4], blocks: 3, rates: [4, 8], imageSize: 64, heads: .count(4), .reference)
    static let improvedImageNet64Classes = network(
        192, [1, 2, 3, 4], blocks: 3, rates: [4, 8], imageSize: 64, heads: .count(4), .reference)
    static let improvedLSUN = network(
        128, [1, 1, 2, 2, 4, 4], blocks: 2, rates: [16], imageSize: 256, additive)
    /// ADM's, of guided-diffusion, consistency_models and EDM.
    package static let adm64 = network(
        192, [1, 2, 3, 4], blocks: 3, rates: [2, 4, 8], imageSize: 64, heads: .width(64), residual)
    static let adm128 = network(
        256, [1, 1, 2, 3, 4], blocks: 2, rates: [4, 8, 16], imageSize: 128, heads: .count(4), residual)
    static let adm256 = network(
        256, [1, 1, 2, 2, 4, 4], blocks: 2, rates: [8, 16, 32], imageSize: 256, heads: .width(64), residual)
    static let adm256Additive = network(
        256, [1, 1, 2, 2, 4, 4], blocks: 2, rates: [8, 16, 32], imageSize: 256, heads: .width(64),
        variant { ($0.modulation, $0.resampling) = (.additive, .residual) })
    package static let torchCFM = network(
        128, [1, 2, 2, 2], blocks: 2, rates: [2], imageSize: 32, heads: .width(64), additive)
    /// EDM's DDPM++.
    package static let edmCIFAR10 = network(128, [2, 2, 2], blocks: 4, rates: [2], imageSize: 32, .ddpmPlusPlus)
    static let edm64 = network(128, [1, 2, 2, 2], blocks: 4, rates: [4], imageSize: 64, .ddpmPlusPlus)
    static let rectifiedFlow = network(128, [1, 2, 2, 2], blocks: 4, rates: [2], imageSize: 32, .ddpmPlusPlus)
    /// google/ddpm-cifar10-32's.
    package static let ddpmCIFAR10 = network(128, [1, 2, 2, 2], blocks: 2, rates: [2], imageSize: 32, ddpm)
    /// google/ddpm-celebahq-256's and that of others of its size.
    package static let ddpm256 = network(128, [1, 1, 2, 2, 4, 4], blocks: 2, rates: [16], imageSize: 256, ddpm)
}
