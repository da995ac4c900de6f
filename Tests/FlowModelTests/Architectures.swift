import FlowModel

extension UNetArchitecture {
    /// A small network for CIFAR-10.
    static let starter = UNetArchitecture(
        modelChannels: 32, residualBlocks: 1, channelMultipliers: [1, 2, 4], attentionDownsampling: [4], heads: 4,
        imageSize: 32)
    /// The smallest network that has every kind of block.
    static let tiny = UNetArchitecture(
        modelChannels: 32, residualBlocks: 1, channelMultipliers: [1, 2], attentionDownsampling: [2], heads: 4,
        imageSize: 16)
}
