import FlowModel
import Layers

/// The maps between stages: activations, or the gradients by them.
///
/// As in the forward pass alone, a decoder stage reads one map whose front part the stage before it writes and whose back
/// part an encoder stage has written; of gradients it is the stage that writes and the two others that read.
final class Joints {
    let image: OwnedFeatureMap
    let velocity: OwnedFeatureMap
    private let concatenations: [OwnedFeatureMap]
    private let last: OwnedFeatureMap
    private let layout: UNetLayout

    init(_ layout: UNetLayout, capacity: Int) {
        self.layout = layout
        func map(_ channels: Int, _ side: Int) -> OwnedFeatureMap {
            OwnedFeatureMap(capacity: capacity, channels: channels, side: side)
        }
        let side = layout.architecture.imageSize
        image = map(3, side)
        velocity = map(3, side)
        concatenations = layout.outputBlocks.map { map($0.inputChannels, $0.inputSize) }
        last = map(layout.finalChannels, side)
    }

    private var encoderCount: Int { layout.inputBlocks.count }

    /// What stage `index` reads; stages count the encoder's, the middle and the decoder's.
    func input(_ index: Int) -> FeatureMap {
        if index == 0 { return image.map }
        return index <= encoderCount ? output(index - 1) : concatenations[index - encoderCount - 1].map
    }

    /// What stage `index` writes.
    func output(_ index: Int) -> FeatureMap {
        let joint: Int
        if index < encoderCount {
            joint = encoderCount - 1 - index
        } else {
            joint = index - encoderCount
            guard joint < concatenations.count else { return last.map }
        }
        let stage = layout.outputBlocks[joint]
        let front = stage.inputChannels - stage.skipChannels
        return concatenations[joint].map.channels(index < encoderCount ? front..<stage.inputChannels : 0..<front)
    }

    var byteCount: Int {
        ([image, velocity, last] + concatenations).reduce(0) { $0 + $1.byteCount }
    }
}
