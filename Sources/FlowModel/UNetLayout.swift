/// A learned tensor's name and shape.
public struct ParameterShape: Sendable, Equatable {
    /// The tensor's name, such as `input_blocks.0.0.weight`.
    public let key: String
    /// Its extents, outermost first, as PyTorch lays the tensor out (convolutions are [out, in, height, width]).
    public let shape: [Int]

    /// Names a tensor.
    public init(key: String, shape: [Int]) {
        self.key = key
        self.shape = shape
    }

    /// How many numbers the tensor holds.
    public var count: Int { shape.reduce(1, *) }
}

/// The velocity network spelled out: its stages in the order they run, with every block's key, widths and resolution
/// (PRG, section 1), and from them the list of all parameters.
///
/// Keys are those of the reference implementation after its prefix, so `input_blocks.3.1` for an attention block. A pure
/// value: the network builder walks it to make plans, the importer and the model file compare tensors against it.
public struct UNetLayout: Sendable, Equatable {
    /// One layer group that has a key of its own.
    public enum Block: Sendable, Equatable {
        /// A 3x3 convolution with padding 1.
        case convolution(key: String, inputs: Int, outputs: Int)
        /// A residual block; its skip is a 1x1 convolution where `inputs` and `outputs` differ.
        case residual(key: String, inputs: Int, outputs: Int)
        /// Self-attention over all positions.
        case attention(key: String, channels: Int)
        /// A 3x3 convolution with stride 2 and padding 1, which halves height and width.
        case downsample(key: String, channels: Int)
        /// Nearest-neighbour doubling of height and width, then a 3x3 convolution with padding 1.
        case upsample(key: String, channels: Int)
    }

    /// Blocks run one after another: one entry of `input_blocks` or `output_blocks`, or the whole middle.
    public struct Stage: Sendable, Equatable {
        /// The blocks in the order they run.
        public let blocks: [Block]
        /// Channels that enter the first block, the concatenated skip included.
        public let inputChannels: Int
        /// How many of `inputChannels`, the last ones, come from the popped skip; 0 in the encoder and the middle.
        public let skipChannels: Int
        /// Channels that leave the last block.
        public let outputChannels: Int
        /// Height and width at which every block of the stage works; a downsample or upsample, always last, leaves it.
        public let inputSize: Int
        /// Height and width of what the stage gives.
        public let outputSize: Int
    }

    /// The architecture that this is the layout of.
    public let architecture: UNetArchitecture
    /// The encoder; each stage's output is pushed on the skip stack.
    public let inputBlocks: [Stage]
    /// Residual block, attention block, residual block.
    public let middle: Stage
    /// The decoder; each stage pops one skip, so stage i takes the output of `inputBlocks[count - 1 - i]`.
    public let outputBlocks: [Stage]

    /// Length of the time embedding after its two linear layers: four times the model channels.
    public var embeddingWidth: Int { 4 * architecture.modelChannels }
    /// Channels that enter the closing GroupNorm, SiLU and convolution.
    public var finalChannels: Int { outputBlocks.last!.outputChannels }

    /// Lays a network out.
    ///
    /// - Throws: `ConfigurationError` if the architecture doesn't pass `validate()`.
    public init(_ architecture: UNetArchitecture) throws(ConfigurationError) {
        try architecture.validate()
        self.architecture = architecture
        inputBlocks = Self.encoder(architecture)
        let deepest = inputBlocks.last!
        let channels = deepest.outputChannels
        middle = Stage(
            blocks: [
                .residual(key: "middle_block.0", inputs: channels, outputs: channels),
                .attention(key: "middle_block.1", channels: channels),
                .residual(key: "middle_block.2", inputs: channels, outputs: channels),
            ],
            inputChannels: channels, skipChannels: 0, outputChannels: channels, inputSize: deepest.outputSize,
            outputSize: deepest.outputSize)
        outputBlocks = Self.decoder(
            architecture, channels: channels, size: deepest.outputSize, skips: inputBlocks.map(\.outputChannels))
    }

    private static func encoder(_ architecture: UNetArchitecture) -> [Stage] {
        var channels = architecture.modelChannels
        var size = architecture.imageSize
        var stages = [
            Stage(
                blocks: [.convolution(key: "input_blocks.0.0", inputs: 3, outputs: channels)], inputChannels: 3,
                skipChannels: 0, outputChannels: channels, inputSize: size, outputSize: size)
        ]
        for level in architecture.channelMultipliers.indices {
            let width = architecture.width(level: level)
            for _ in 0..<architecture.residualBlocks {
                let key = "input_blocks.\(stages.count)"
                var blocks = [Block.residual(key: key + ".0", inputs: channels, outputs: width)]
                if architecture.hasAttention(level: level) {
                    blocks.append(.attention(key: key + ".1", channels: width))
                }
                stages.append(
                    Stage(
                        blocks: blocks, inputChannels: channels, skipChannels: 0, outputChannels: width,
                        inputSize: size, outputSize: size))
                channels = width
            }
            if level < architecture.channelMultipliers.count - 1 {
                stages.append(
                    Stage(
                        blocks: [.downsample(key: "input_blocks.\(stages.count).0", channels: channels)],
                        inputChannels: channels, skipChannels: 0, outputChannels: channels, inputSize: size,
                        outputSize: size / 2))
                size /= 2
            }
        }
        return stages
    }

    private static func decoder(_ architecture: UNetArchitecture, channels: Int, size: Int, skips: [Int]) -> [Stage] {
        var channels = channels
        var size = size
        var skips = skips
        var stages: [Stage] = []
        for level in architecture.channelMultipliers.indices.reversed() {
            let width = architecture.width(level: level)
            for position in 0...architecture.residualBlocks {
                let key = "output_blocks.\(stages.count)"
                let skip = skips.removeLast()
                var blocks = [Block.residual(key: key + ".0", inputs: channels + skip, outputs: width)]
                if architecture.hasAttention(level: level) {
                    blocks.append(.attention(key: key + ".1", channels: width))
                }
                let upsamples = level > 0 && position == architecture.residualBlocks
                if upsamples {
                    blocks.append(.upsample(key: "\(key).\(blocks.count)", channels: width))
                }
                stages.append(
                    Stage(
                        blocks: blocks, inputChannels: channels + skip, skipChannels: skip, outputChannels: width,
                        inputSize: size, outputSize: upsamples ? 2 * size : size))
                channels = width
                size = upsamples ? 2 * size : size
            }
        }
        return stages
    }
}

// MARK: - Parameters

extension UNetLayout {
    /// Every parameter of the network in the reference's order, keys as they follow the reference's prefix.
    public var parameters: [ParameterShape] {
        let channels = architecture.modelChannels
        var list = affine("time_embed.0", [embeddingWidth, channels])
        list += affine("time_embed.2", [embeddingWidth, embeddingWidth])
        for stage in inputBlocks + [middle] + outputBlocks {
            list += stage.blocks.flatMap { $0.parameters(embeddingWidth: embeddingWidth) }
        }
        list += affine("out.0", [finalChannels])
        list += affine("out.2", [3, finalChannels, 3, 3])
        return list
    }
}

extension UNetLayout.Block {
    /// The block's key.
    public var key: String {
        switch self {
        case .convolution(let key, _, _), .residual(let key, _, _), .attention(let key, _), .downsample(let key, _),
            .upsample(let key, _):
            key
        }
    }

    /// Channels that leave the block.
    public var outputChannels: Int {
        switch self {
        case .convolution(_, _, let outputs), .residual(_, _, let outputs): outputs
        case .attention(_, let channels), .downsample(_, let channels), .upsample(_, let channels): channels
        }
    }

    /// The block's parameters in the reference's order.
    ///
    /// - Parameter embeddingWidth: length of the time embedding, which residual blocks project to scale and shift.
    public func parameters(embeddingWidth: Int) -> [ParameterShape] {
        switch self {
        case .convolution(let key, let inputs, let outputs):
            return affine(key, [outputs, inputs, 3, 3])
        case .residual(let key, let inputs, let outputs):
            let body =
                affine(key + ".in_layers.0", [inputs])
                + affine(key + ".in_layers.2", [outputs, inputs, 3, 3])
                + affine(key + ".emb_layers.1", [2 * outputs, embeddingWidth])
                + affine(key + ".out_layers.0", [outputs])
                + affine(key + ".out_layers.3", [outputs, outputs, 3, 3])
            return inputs == outputs ? body : body + affine(key + ".skip_connection", [outputs, inputs, 1, 1])
        case .attention(let key, let channels):
            return affine(key + ".norm", [channels])
                + affine(key + ".qkv", [3 * channels, channels, 1])
                + affine(key + ".proj_out", [channels, channels, 1])
        case .downsample(let key, let channels):
            return affine(key + ".op", [channels, channels, 3, 3])
        case .upsample(let key, let channels):
            return affine(key + ".conv", [channels, channels, 3, 3])
        }
    }
}

extension HeadConfiguration {
    /// How many numbers the pooled state has: three channels of `pooledSize` squared.
    public var representationWidth: Int { 3 * pooledSize * pooledSize }

    /// How many numbers the head reads: the pooled state's, or the channels at its place, which `validate(on:)` found there.
    public func inputWidth(on layout: UNetLayout) -> Int {
        guard let place else { return representationWidth }
        guard let channels = layout.channels(at: place) else { preconditionFailure("no place \(place)") }
        return channels
    }

    /// The head's parameters in the reference's order, keys such as `classifier.1.weight`: LayerNorm (0), the hidden
    /// Linear (1), after Tanh (2) the Linear without bias (3). A linear head's second and last is the Linear (1) that gives the
    /// logits.
    public func parameters(on layout: UNetLayout) -> [ParameterShape] {
        let width = inputWidth(on: layout)
        guard let hiddenWidth else {
            return affine("classifier.0", [width]) + affine("classifier.1", [classes, width])
        }
        return affine("classifier.0", [width])
            + affine("classifier.1", [hiddenWidth, width])
            + [ParameterShape(key: "classifier.3.weight", shape: [classes, hiddenWidth])]
    }
}

/// A weight and the bias that goes with it: one number for each of the weight's outermost extent.
private func affine(_ key: String, _ weightShape: [Int]) -> [ParameterShape] {
    [
        ParameterShape(key: key + ".weight", shape: weightShape),
        ParameterShape(key: key + ".bias", shape: [weightShape[0]]),
    ]
}
