/// How a published UNet differs from PRG's, whose own is `reference`. docs/families.md says which model has what.
public struct UNetVariant: Sendable, Equatable {
    /// What the time embedding does to a residual block's second GroupNorm.
    public enum Modulation: String, Codable, Sendable {
        /// It scales and shifts what the GroupNorm gives.
        case film
        /// It is added to what the GroupNorm reads.
        case additive
    }

    /// What changes the resolution between levels.
    public enum Resampling: String, Codable, Sendable {
        /// A 3x3 convolution: of stride 2 downwards, after nearest-neighbour doubling upwards.
        case convolution
        /// A residual block, both of whose branches are resampled: the mean of 2x2 pixels downwards, nearest-neighbour
        /// doubling upwards (Dhariwal and Nichol 2021).
        case residual
        /// The same with a 1x1 convolution in the shortcut even where the widths agree (Song et al. 2021, DDPM++).
        case residualWithSkip = "residual-with-skip"
    }

    /// The order of the time embedding's halves.
    public enum Sinusoids: String, Codable, Sendable {
        /// Cosines first.
        case cosinesFirst = "cos-sin"
        /// Sines first.
        case sinesFirst = "sin-cos"
    }

    /// Where a convolution of stride 2 pads by 1.
    public enum Padding: String, Codable, Sendable {
        /// On every side.
        case symmetric
        /// On the right and below only.
        case bottomRight = "bottom-right"
    }

    /// Which of the decoder's blocks have attention at a level that has any.
    public enum DecoderAttention: String, Codable, Sendable {
        /// Each of them.
        case everyBlock = "every-block"
        /// The last one, before the resolution is doubled.
        case lastBlock = "last-block"
    }

    /// What the time embedding does.
    public var modulation = Modulation.film
    /// What changes the resolution.
    public var resampling = Resampling.convolution
    /// What every GroupNorm adds to the variance.
    public var epsilon = 1e-5
    /// The order of the time embedding's halves.
    public var sinusoids = Sinusoids.cosinesFirst
    /// The time embedding's frequencies are 10000^(-i / (half - frequencyShift)); 0 or 1.
    public var frequencyShift = 0
    /// Where a convolution of stride 2 pads.
    public var downsamplingPadding = Padding.symmetric
    /// Which of the decoder's blocks have attention.
    public var decoderAttention = DecoderAttention.everyBlock
    /// What every residual sum is multiplied by, attention's included: 1, or √½.
    public var residualScale = 1.0
    /// Channels of an attention's head; nil if `UNetArchitecture.heads` says how many heads there are instead.
    public var headWidth: Int?
    /// Channels that the first convolution writes; nil for `UNetArchitecture.modelChannels`.
    public var inputWidth: Int?

    /// PRG's own network.
    public static let reference = UNetVariant()
}

extension UNetVariant: Codable {
    private enum CodingKeys: CodingKey {
        case modulation, resampling, epsilon, sinusoids, frequencyShift, downsamplingPadding, decoderAttention,
            residualScale,
            headWidth, inputWidth
    }

    /// Members that are absent are as in `reference`.
    public init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        func read<Value: Decodable>(_ key: CodingKeys, into value: inout Value) throws {
            value = try members.decodeIfPresent(Value.self, forKey: key) ?? value
        }
        try read(.modulation, into: &modulation)
        try read(.resampling, into: &resampling)
        try read(.epsilon, into: &epsilon)
        try read(.sinusoids, into: &sinusoids)
        try read(.frequencyShift, into: &frequencyShift)
        try read(.downsamplingPadding, into: &downsamplingPadding)
        try read(.decoderAttention, into: &decoderAttention)
        try read(.residualScale, into: &residualScale)
        headWidth = try members.decodeIfPresent(Int.self, forKey: .headWidth)
        inputWidth = try members.decodeIfPresent(Int.self, forKey: .inputWidth)
    }
}

extension UNetVariant {
    /// How it differs from `reference` in plain words; the width of heads isn't among them.
    var differences: [String] {
        let reference = Self.reference
        var list: [String] = []
        if let inputWidth { list.append("\(inputWidth) channels after the first convolution") }
        if modulation == .additive { list.append("an additive time embedding") }
        switch resampling {
        case .convolution: break
        case .residual: list.append("resampling in residual blocks")
        case .residualWithSkip: list.append("resampling in residual blocks with a convolution in the shortcut")
        }
        if downsamplingPadding == .bottomRight { list.append("downsampling padded on the right and below") }
        if decoderAttention == .lastBlock { list.append("attention in the last block alone of the decoder's levels") }
        if residualScale != reference.residualScale { list.append("residual sums times \(Float(residualScale))") }
        if epsilon != reference.epsilon { list.append("epsilon \(epsilon)") }
        if sinusoids == .sinesFirst { list.append("sines before cosines") }
        if frequencyShift != reference.frequencyShift { list.append("a frequency shift of \(frequencyShift)") }
        return list
    }
}
