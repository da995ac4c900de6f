public import Layers
import Tensor

/// One step of a network's evaluation: it reads one buffer, optionally adds another, and writes a third.
///
/// Fusion is explicit: what a layer does while it reads (`transform`) and while it writes (`residual`) are fields here, and
/// nothing merges operations later. A family of networks that needs another variant adds a field or a kind.
public struct NetworkOperation: Sendable, Equatable {
    /// What is computed of what was read.
    public enum Kind: Sendable, Equatable {
        /// A 3x3 convolution with padding 1 and a bias, which may halve or double the resolution.
        case convolution(ConvolutionShape)
        /// A 1x1 convolution with a bias.
        case pointwise(PointwiseShape)
        /// Softmax attention among the pixels of an image, without parameters.
        case attention(Attention)
    }

    /// What is done to the input while it is read: GroupNorm, a scale and shift by the time embedding, SiLU.
    public struct Transform: Sendable, Equatable {
        /// What the keys of the GroupNorm's weight and bias begin with.
        public let normKey: String
        /// x·(1 + scale) + shift after the GroupNorm; nil for none.
        public let modulation: Modulation?
        /// Whether SiLU follows.
        public let isActivated: Bool

        /// Describes a transform.
        public init(normKey: String, modulation: Modulation? = nil, isActivated: Bool) {
            self.normKey = normKey
            self.modulation = modulation
            self.isActivated = isActivated
        }
    }

    /// Scale and shift of each channel, which a linear layer makes of an image's time embedding.
    public struct Modulation: Sendable, Equatable {
        /// What the keys of the linear layer's weight and bias begin with.
        public let key: String
        /// Channels modulated; the layer gives their scales, then their shifts.
        public let channels: Int
        /// Length of the time embedding.
        public let embeddingWidth: Int
        /// Where its numbers begin in the row of all modulations of a time.
        public let offset: Int

        /// Numbers in the row: a scale and a shift for each channel.
        public var width: Int { 2 * channels }
        /// The linear layer's parameters.
        public var parameters: [ParameterShape] { ParameterShape.affine(key, [width, embeddingWidth]) }
    }

    /// What the keys of its weight and bias begin with; the operation's name in plans.
    public let key: String
    /// What is computed.
    public let kind: Kind
    /// The buffer that it reads.
    public let input: NetworkProgram.BufferIndex
    /// What is done to the input while it is read; nil for nothing.
    public let transform: Transform?
    /// The buffer that is added to the result, which may be `output` itself; nil for none.
    public let residual: NetworkProgram.BufferIndex?
    /// The buffer that it writes.
    public let output: NetworkProgram.BufferIndex
    /// Whether its own parameters begin as zeros in training.
    public let startsAtZero: Bool
}

extension NetworkOperation {
    /// Its parameters in the order of model files: the modulation's, the GroupNorm's, its own.
    public var parameters: [ParameterShape] {
        var list = transform?.modulation?.parameters ?? []
        if let transform { list += ParameterShape.affine(transform.normKey, [inputChannels]) }
        switch kind {
        case .convolution(let shape):
            list += ParameterShape.affine(
                key, [shape.outputs, shape.inputs, 3, 3], startsAtZero: startsAtZero)
        case .pointwise(let shape):
            list += ParameterShape.affine(key, shape.weightShape, startsAtZero: startsAtZero)
        case .attention: break
        }
        return list
    }

    /// The buffers that it reads or writes, without repetition.
    public var buffers: Set<NetworkProgram.BufferIndex> { [input, output, residual ?? output] }

    /// Channels that it reads.
    public var inputChannels: Int {
        switch kind {
        case .convolution(let shape): shape.inputs
        case .pointwise(let shape): shape.inputs
        case .attention(let attention): attention.queriesKeysValues.outputs
        }
    }

    /// Channels that it writes.
    public var outputChannels: Int {
        switch kind {
        case .convolution(let shape): shape.outputs
        case .pointwise(let shape): shape.outputs
        case .attention(let attention): attention.paddedChannels
        }
    }

    /// Height and width in pixels of what it reads.
    public var inputSide: Int {
        switch kind {
        case .convolution(let shape): shape.inputSide
        case .pointwise(let shape): shape.side
        case .attention(let attention): attention.side
        }
    }

    /// Height and width in pixels of what it writes.
    public var outputSide: Int {
        if case .convolution(let shape) = kind { shape.side } else { inputSide }
    }

    /// Multiply-adds of the direct algorithm for one image.
    public var multiplyAdds: Int {
        switch kind {
        case .convolution(let shape): shape.multiplyAdds
        case .pointwise(let shape): shape.multiplyAdds
        case .attention(let attention): attention.multiplyAdds
        }
    }

    /// Floats of packed weights whose products are computed in `precision`.
    func weightFloats(in precision: Precision) -> Int {
        switch kind {
        case .convolution(let shape): shape.computed(in: precision).weightFloats
        case .pointwise(let shape): shape.computed(in: precision).weightFloats
        case .attention: 0
        }
    }

    /// Floats of scratch that a worker needs.
    func scratchFloats(in precision: Precision) -> Int {
        switch kind {
        case .convolution(let shape): shape.computed(in: precision).scratchFloats
        case .pointwise(let shape): shape.computed(in: precision).scratchFloats
        case .attention(let attention): attention.scratchFloats
        }
    }

    /// How it is computed in batches of `batch` images.
    func plan(batch: Int, in precision: Precision, on pool: WorkerPool) -> LayerPlan {
        switch kind {
        case .convolution(let shape): shape.computed(in: precision).plan(batch: batch, on: pool)
        case .pointwise(let shape): shape.computed(in: precision).plan(batch: batch, on: pool)
        case .attention(let attention): attention.plan(on: pool)
        }
    }
}
