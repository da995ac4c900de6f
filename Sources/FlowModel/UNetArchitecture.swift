/// The shape of a UNet: that of Dhariwal and Nichol 2021 as PRG configures it, or a published variant of it.
public struct UNetArchitecture: Sendable, Equatable {
    /// Width of the first level; a multiple of 32, since GroupNorm has 32 groups.
    public var modelChannels: Int
    /// Residual blocks a level on the way down; the way up has one more.
    public var residualBlocks: Int
    /// Width of each level as a multiple of `modelChannels`, from the full resolution downwards. Fractions are those of published
    /// models, such as 0.5 or 1.5.
    public var channelMultipliers: [Double]
    /// Downsampling rates (1, 2, 4, …) at which every residual block is followed by an attention block.
    public var attentionDownsampling: [Int]
    /// Heads of every attention block; 1 if the variant has a `headWidth` instead.
    public var heads: Int
    /// Height and width of the image in pixels.
    public var imageSize: Int
    /// How it differs from PRG's network.
    public var variant: UNetVariant

    /// Describes a network; `validate()` says whether it can be built.
    public init(
        modelChannels: Int, residualBlocks: Int, channelMultipliers: [Double], attentionDownsampling: [Int], heads: Int,
        imageSize: Int, variant: UNetVariant = .reference
    ) {
        self.modelChannels = modelChannels
        self.residualBlocks = residualBlocks
        self.channelMultipliers = channelMultipliers
        self.attentionDownsampling = attentionDownsampling
        self.heads = heads
        self.imageSize = imageSize
        self.variant = variant
    }
}

extension UNetArchitecture: Codable {
    private enum CodingKeys: CodingKey {
        case modelChannels, residualBlocks, channelMultipliers, attentionDownsampling, heads, imageSize, variant
    }

    /// Reads an architecture; one without a variant is PRG's.
    public init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            modelChannels: try members.decode(Int.self, forKey: .modelChannels),
            residualBlocks: try members.decode(Int.self, forKey: .residualBlocks),
            channelMultipliers: try members.decode([Double].self, forKey: .channelMultipliers),
            attentionDownsampling: try members.decode([Int].self, forKey: .attentionDownsampling),
            heads: try members.decode(Int.self, forKey: .heads),
            imageSize: try members.decode(Int.self, forKey: .imageSize),
            variant: try members.decodeIfPresent(UNetVariant.self, forKey: .variant) ?? .reference)
    }

    /// Writes an architecture, without a variant if it is PRG's.
    public func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: CodingKeys.self)
        try members.encode(modelChannels, forKey: .modelChannels)
        try members.encode(residualBlocks, forKey: .residualBlocks)
        try members.encode(channelMultipliers, forKey: .channelMultipliers)
        try members.encode(attentionDownsampling, forKey: .attentionDownsampling)
        try members.encode(heads, forKey: .heads)
        try members.encode(imageSize, forKey: .imageSize)
        if variant != .reference { try members.encode(variant, forKey: .variant) }
    }
}

extension UNetArchitecture {
    /// Channels at a level, 0 being the full resolution. The multiplier, which passes `validate()`, may be rounded.
    public func width(level: Int) -> Int { Int((channelMultipliers[level] * Double(modelChannels)).rounded()) }

    /// Channels that the first convolution writes.
    public var inputWidth: Int { variant.inputWidth ?? modelChannels }

    /// Heads of an attention over so many channels.
    public func heads(width: Int) -> Int { variant.headWidth.map { width / $0 } ?? heads }

    /// Whether blocks at a level are followed by attention.
    public func hasAttention(level: Int) -> Bool { attentionDownsampling.contains(1 << level) }
}

extension UNetArchitecture: CustomStringConvertible {
    /// The sizes, as `headwater inspect` prints them.
    public var description: String {
        let multipliers = channelMultipliers.map { Int(exactly: $0).map(String.init) ?? "\($0)" }
        let attention = attentionDownsampling.map { "1/\($0)" }.joined(separator: ", ")
        return
            "UNet, \(imageSize)x\(imageSize) pixels, width \(modelChannels) times \(multipliers.joined(separator: ", ")), "
            + "\(residualBlocks) residual blocks a level, "
            + (attention.isEmpty ? "no attention but in the middle" : "attention at \(attention)") + ", "
            + (variant.headWidth.map { "heads of \($0) channels" } ?? "\(heads) \(heads == 1 ? "head" : "heads")")
            + variant.differences.map { ", " + $0 }.joined()
    }
}
