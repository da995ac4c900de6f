public import Layers

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
        /// Nearest-neighbour doubling, the mean of 2x2 pixels, or a copy, without parameters.
        case resampling(ResamplingShape)
    }

    /// What is done to the input while it is read: GroupNorm with the time embedding's modulation, SiLU.
    public struct Transform: Sendable, Equatable {
        /// What the keys of the GroupNorm's weight and bias begin with.
        public let normKey: String
        /// What the GroupNorm adds to the variance.
        public let epsilon: Double
        /// What the time embedding does; nil for nothing.
        public let modulation: Modulation?
        /// Whether SiLU follows.
        public let isActivated: Bool

        /// Describes a transform.
        public init(normKey: String, epsilon: Double = 1e-5, modulation: Modulation? = nil, isActivated: Bool) {
            self.normKey = normKey
            self.epsilon = epsilon
            self.modulation = modulation
            self.isActivated = isActivated
        }
    }

    /// Scale and shift, or the addend, of each channel, which a linear layer makes of an image's time embedding.
    public struct Modulation: Sendable, Equatable {
        /// What the keys of the linear layer's weight and bias begin with.
        public let key: String
        /// What is done to the channels.
        public let kind: ModulationKind
        /// Channels modulated; the layer gives their scales and then their shifts, or their addends.
        public let channels: Int
        /// Length of the time embedding.
        public let embeddingWidth: Int
        /// Where its numbers begin in the row of all modulations of a time.
        public let offset: Int

        /// Numbers in the row.
        public var width: Int { kind.numbersPerChannel * channels }
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
    /// What is computed is multiplied by this before the residual is added; of a convolution, its weights and bias are.
    public let factor: Float
    /// The buffer that it writes.
    public let output: NetworkProgram.BufferIndex
    /// Whether its own parameters begin as zeros in training.
    public let startsAtZero: Bool
}

extension NetworkOperation {
    /// Its parameters in the order of model files: the modulation's, the GroupNorm's, its own.
    public var parameters: [ParameterShape] {
        var list = transform?.modulation?.parameters ?? []
        if let transform { list += ParameterShape.affine(transform.normKey, [shape.inputs]) }
        if let weightShape = shape.weightShape {
            list += ParameterShape.affine(key, weightShape, startsAtZero: startsAtZero)
        }
        return list
    }

    /// The buffers that it reads or writes, without repetition.
    public var buffers: Set<NetworkProgram.BufferIndex> { [input, output, residual ?? output] }

    /// Sizes and costs of its layer, in f32.
    package var shape: any LayerShape {
        switch kind {
        case .convolution(let shape): shape
        case .pointwise(let shape): shape
        case .attention(let shape): shape
        case .resampling(let shape): shape
        }
    }
}
