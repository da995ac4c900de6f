import FlowModel
import Networks

/// A tensor of the network by what it does, from which every dialect's own name for it follows.
struct UNetParameter {
    /// A module of the network. Level 0 has the image's own resolution.
    enum Module: Hashable {
        /// The first or second linear layer of the time embedding.
        case timeEmbedding(Int)
        /// The first convolution.
        case input
        /// A block of the encoder, by its index in its level.
        case encoder(level: Int, index: Int)
        /// What halves the resolution after a level of the encoder.
        case downsampling(level: Int)
        /// A residual block, an attention, a residual block.
        case middle(Int)
        /// A block of the decoder, by its index in its level.
        case decoder(level: Int, index: Int)
        /// What doubles the resolution after a level of the decoder.
        case upsampling(level: Int)
        /// The last norm or convolution.
        case outputNorm, output
    }

    /// A layer of a module.
    enum Layer: String {
        /// The module itself is the layer.
        case whole = ""
        /// Of a residual block.
        case firstNorm = "in_layers.0", firstConvolution = "in_layers.2", modulation = "emb_layers.1",
            secondNorm = "out_layers.0", secondConvolution = "out_layers.3", skip = "skip_connection"
        /// Of an attention block.
        case attentionNorm = "norm", queriesKeysValues = "qkv", projection = "proj_out"
        /// The convolution that resamples.
        case downsamplingConvolution = "op", upsamplingConvolution = "conv"

        /// Whether attention blocks have it.
        var isOfAttention: Bool { [.attentionNorm, .queriesKeysValues, .projection].contains(self) }
    }

    /// The canonical key, such as `input_blocks.1.0.in_layers.2.weight`.
    let key: String
    let shape: [Int]
    let module: Module
    let layer: Layer
    /// `weight` or `bias`.
    let suffix: String

    /// Understands a parameter of a network.
    ///
    /// - Precondition: `NetworkProgram` of that architecture has it.
    init(_ parameter: ParameterShape, of architecture: UNetArchitecture) {
        (key, shape) = (parameter.key, parameter.shape)
        let parts = key.split(separator: ".").map(String.init)
        suffix = parts[parts.count - 1]
        let path = parts.dropLast()
        let perLevel = architecture.residualBlocks + 1
        switch path[0] {
        case "time_embed": (module, layer) = (.timeEmbedding(path[1] == "0" ? 0 : 1), .whole)
        case "out": (module, layer) = (path[1] == "0" ? .outputNorm : .output, .whole)
        case "middle_block": (module, layer) = (.middle(Int(path[1])!), Self.layer(path.dropFirst(2)))
        case "input_blocks" where path[1] == "0": (module, layer) = (.input, .whole)
        case "input_blocks":
            let (level, index) = (Int(path[1])! - 1).quotientAndRemainder(dividingBy: perLevel)
            module = index == perLevel - 1 ? .downsampling(level: level) : .encoder(level: level, index: index)
            layer = Self.layer(path.dropFirst(3))
        default:
            let (stage, index) = Int(path[1])!.quotientAndRemainder(dividingBy: perLevel)
            let level = architecture.channelMultipliers.count - 1 - stage
            layer = Self.layer(path.dropFirst(3))
            module =
                path[2] == "0" || layer.isOfAttention
                ? .decoder(level: level, index: index) : .upsampling(level: level)
        }
    }

    private static func layer(_ path: ArraySlice<String>) -> Layer { Layer(rawValue: path.joined(separator: "."))! }
}
