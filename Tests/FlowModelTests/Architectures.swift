import FlowModel

extension UNetArchitecture {
    /// The published CIFAR-10 network (PRG, section 1).
    static let u32 = UNetArchitecture(
        modelChannels: 128, residualBlocks: 3, channelMultipliers: [1, 2, 2, 2], attentionDownsampling: [2, 4],
        heads: 4,
        imageSize: 32)
    /// The published Tiny-ImageNet and ImageNet-64 network.
    static let u64 = UNetArchitecture(
        modelChannels: 128, residualBlocks: 3, channelMultipliers: [1, 2, 3, 4], attentionDownsampling: [4, 8],
        heads: 4,
        imageSize: 64)
    /// A small network for CIFAR-10.
    static let starter = UNetArchitecture(
        modelChannels: 32, residualBlocks: 1, channelMultipliers: [1, 2, 4], attentionDownsampling: [4], heads: 4,
        imageSize: 32)
    /// The smallest network that has every kind of block.
    static let tiny = UNetArchitecture(
        modelChannels: 32, residualBlocks: 1, channelMultipliers: [1, 2], attentionDownsampling: [2], heads: 4,
        imageSize: 16)
}
