import Layers
public import Tensor

/// The memory that a network takes, told from its layout before anything of it is read or allocated. Small vectors, such as
/// biases, are left out.
public struct NetworkMemory: Sendable, Equatable {
    /// Packed weights, and the scales and shifts of every time.
    public let networkBytes: Int
    /// The most that packing takes for a moment beside what it packs into: a tensor of the file, and copies of it.
    public let packingBytes: Int
    private let layout: UNetLayout
    private let scratchFloats: Int

    /// - Parameters:
    ///   - timeCount: times at which the network will be evaluated.
    ///   - precision: what its products are computed in.
    public init(layout: UNetLayout, timeCount: Int, precision: Precision) {
        let blocks = (layout.inputBlocks + [layout.middle] + layout.outputBlocks).flatMap { stage in
            stage.blocks.flatMap { Self.weightFloats($0, side: stage.inputSize, layout, precision) }
        }
        let final = Convolution.weightFloats(
            inputs: layout.finalChannels, outputs: 3, side: layout.architecture.imageSize, precision: precision)
        let film = timeCount * Self.filmWidth(layout)
        networkBytes = (blocks + [final, film]).reduce(0) { $0 + AlignedBuffer.byteCount(count: $1) }
        let largest = layout.parameters.map(\.count).max() ?? 0
        packingBytes = (2 * largest + film) * MemoryLayout<Float>.stride
        self.layout = layout
        scratchFloats =
            (layout.inputBlocks + [layout.middle] + layout.outputBlocks).map {
                Self.mostScratchFloats($0, layout, precision)
            }.max() ?? 0
    }

    /// A stage's convolutions need more than its other layers, and the more the wider what they read is; but for attention to many
    /// pixels.
    private static func mostScratchFloats(
        _ stage: UNetLayout.Stage, _ layout: UNetLayout, _ precision: Precision
    ) -> Int {
        let convolutions = Convolution.mostScratchFloats(
            inputs: stage.inputChannels, side: stage.inputSize, precision: precision)
        return stage.blocks.reduce(convolutions) { most, block in
            guard case .attention(_, let channels) = block else { return most }
            let attention = Attention(channels: channels, heads: layout.architecture.heads)
            return max(
                most, attention.scratchFloats(side: stage.inputSize),
                PointwiseConvolution.scratchFloats(
                    inputs: max(channels, attention.paddedChannels), side: stage.inputSize))
        }
    }

    /// Activations of `capacity` images, and scratch for each of the workers.
    public func evaluatorBytes(capacity: Int, workers: Int) -> Int {
        ActivationArena.byteCount(layout: layout, capacity: capacity)
            + workers * AlignedBuffer.byteCount(count: scratchFloats)
    }

    private static func filmWidth(_ layout: UNetLayout) -> Int {
        (layout.inputBlocks + [layout.middle] + layout.outputBlocks).flatMap(\.blocks).reduce(0) {
            if case .residual(_, _, let outputs) = $1 { $0 + 2 * outputs } else { $0 }
        }
    }

    private static func weightFloats(
        _ block: UNetLayout.Block, side: Int, _ layout: UNetLayout, _ precision: Precision
    ) -> [Int] {
        func convolution(_ inputs: Int, _ outputs: Int, _ resampling: Convolution.Resampling = .none) -> Int {
            Convolution.weightFloats(
                inputs: inputs, outputs: outputs, side: side, resampling: resampling, precision: precision)
        }
        func pointwise(_ inputs: Int, _ outputs: Int) -> Int {
            PointwiseConvolution.weightFloats(inputs: inputs, outputs: outputs, precision: precision)
        }
        switch block {
        case .convolution(_, let inputs, let outputs): return [convolution(inputs, outputs)]
        case .downsample(_, let channels): return [convolution(channels, channels, .down)]
        case .upsample(_, let channels): return [convolution(channels, channels, .up)]
        case .residual(_, let inputs, let outputs):
            let both = [convolution(inputs, outputs), convolution(outputs, outputs)]
            return inputs == outputs ? both : both + [pointwise(inputs, outputs)]
        case .attention(_, let channels):
            let padded = Attention(channels: channels, heads: layout.architecture.heads).paddedChannels
            return [pointwise(channels, 3 * padded), pointwise(padded, channels)]
        }
    }
}
