import Tensor

@testable import Layers

/// A map of its own memory for one image.
struct OwnMap {
    let map: FeatureMap
    private let data: AlignedBuffer
    private let moments: AlignedBuffer

    init(channels: Int, side: Int) {
        data = AlignedBuffer(count: FeatureMap.dataCount(channels: channels, side: side))
        moments = AlignedBuffer(count: FeatureMap.momentsCount(channels: channels, side: side))
        map = FeatureMap(
            channels: channels, side: side, data: data.pointer, imageStride: data.count, moments: moments.pointer,
            momentsStride: moments.count)
    }

    /// A number of pixel p of a padded channel.
    subscript(channel: Int, p: Int) -> Float {
        get { data.pointer[index(channel, p)] }
        nonmutating set { data.pointer[index(channel, p)] = newValue }
    }

    private func index(_ channel: Int, _ p: Int) -> Int {
        (channel / channelBlock * map.side * map.side + p) * channelBlock + channel % channelBlock
    }
}
