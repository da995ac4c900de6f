import Layers
public import Networks

extension UNetArchitecture {
    /// Lowers the network to operations, with the keys of the reference implementation after its prefix, such as
    /// `input_blocks.3.1` for an attention block (PRG, section 1).
    ///
    /// - Parameter frequencies: how those of the time embedding are computed.
    /// - Throws: `ConfigurationError` if the architecture doesn't pass `validate()`.
    public func program(
        frequencies: Sinusoids.Frequencies = .exponentials
    ) throws(ConfigurationError) -> NetworkProgram {
        try validate()
        return UNetLowering.program(of: self, frequencies: frequencies)
    }
}

/// Lowers the UNet: an encoder whose stages' outputs are also read later, a middle, and a decoder each of whose stages reads
/// what the stage before it and one of the encoder's wrote.
private struct UNetLowering {
    private typealias BufferIndex = NetworkProgram.BufferIndex

    /// What a decoder's stage reads: two writers in one buffer.
    private struct Concatenation {
        let whole: BufferIndex
        /// What the stage before it writes.
        let front: BufferIndex
        /// What an encoder's stage writes.
        let skip: BufferIndex
    }

    private let architecture: UNetArchitecture
    private var variant: UNetVariant { architecture.variant }
    private var builder: ProgramBuilder
    /// Of the decoder's stages in the order in which they run.
    private var concatenations: [Concatenation] = []

    static func program(
        of architecture: UNetArchitecture, frequencies: Sinusoids.Frequencies
    ) -> NetworkProgram {
        let width = 4 * architecture.modelChannels
        let sinusoids = Sinusoids(
            frequencies: frequencies, frequencyShift: architecture.variant.frequencyShift,
            beginsWithSines: architecture.variant.sinusoids == .sinesFirst)
        var lowering = UNetLowering(
            architecture: architecture,
            builder: ProgramBuilder(
                TimeEmbedding(
                    channels: architecture.modelChannels, width: width, firstKey: "time_embed.0",
                    secondKey: "time_embed.2", sinusoids: sinusoids)))
        return lowering.program()
    }

    private mutating func program() -> NetworkProgram {
        let state = builder.buffer("state", channels: 3, side: architecture.imageSize)
        addConcatenations()
        let deepest = encoder(from: state)
        let (first, last) = (concatenations[0].front, builder.buffer("middle", like: deepest))
        let attended = builder.buffer("middle attended", like: deepest)
        residualBlock("middle_block.0", deepest, into: last)
        attentionBlock("middle_block.1", last, into: attended)
        residualBlock("middle_block.2", attended, into: first)
        builder.place(.middle, at: first)
        let decoded = decoder()
        let velocity = builder.buffer("velocity", channels: 3, side: architecture.imageSize)
        builder.append([
            builder.convolution(
                "out.2", decoded, into: velocity, transform: transform("out.0"), startsAtZero: true)
        ])
        return builder.program(from: state, to: velocity)
    }

    /// Channels and side of what each of the encoder's stages writes.
    private var encoderOutputs: [(channels: Int, side: Int)] {
        var side = architecture.imageSize
        var outputs = [(architecture.inputWidth, side)]
        for level in architecture.channelMultipliers.indices {
            if level > 0 {
                side /= 2
                outputs.append((architecture.width(level: level - 1), side))
            }
            outputs += (0..<architecture.residualBlocks).map { _ in (architecture.width(level: level), side) }
        }
        return outputs
    }

    private mutating func addConcatenations() {
        let skips = encoderOutputs
        var channels = skips.last!.channels
        for (index, skip) in skips.reversed().enumerated() {
            let whole = builder.buffer(
                "output_blocks.\(index) input", channels: channels + skip.channels, side: skip.side)
            concatenations.append(
                Concatenation(
                    whole: whole, front: builder.channels(0..<channels, of: whole, "output_blocks.\(index) front"),
                    skip: builder.channels(
                        channels..<channels + skip.channels, of: whole, "output_blocks.\(index) skip")))
            channels = architecture.width(level: decoderLevel(index))
        }
    }

    /// The level of one of the decoder's stages, of which each level has one more than residual blocks.
    private func decoderLevel(_ index: Int) -> Int {
        architecture.channelMultipliers.count - 1 - index / (architecture.residualBlocks + 1)
    }
}

// MARK: - Stages

extension UNetLowering {
    /// Returns what the deepest stage writes.
    private mutating func encoder(from state: BufferIndex) -> BufferIndex {
        var current = state
        for (index, concatenation) in concatenations.reversed().enumerated() {
            let (key, output) = ("input_blocks.\(index)", concatenation.skip)
            // Each level begins with a convolution, or a residual block, that halves the resolution, the first with a convolution
            // that doesn't.
            let (level, block) = index.quotientAndRemainder(dividingBy: architecture.residualBlocks + 1)
            if index == 0 {
                builder.append([builder.convolution(key + ".0", current, into: output)])
            } else if block == 0 {
                downsampling(key + ".0", current, into: output)
            } else {
                stage(key, current, into: output, level: level, attends: architecture.hasAttention(level: level))
            }
            builder.place(.down(index), at: output)
            current = output
        }
        return current
    }

    /// Returns what the last stage writes.
    private mutating func decoder() -> BufferIndex {
        let last = builder.buffer(
            "output", channels: architecture.width(level: 0), side: architecture.imageSize)
        for (index, concatenation) in concatenations.enumerated() {
            let level = decoderLevel(index)
            let target = index + 1 < concatenations.count ? concatenations[index + 1].front : last
            let ends = (index + 1).isMultiple(of: architecture.residualBlocks + 1)
            let attends = architecture.hasAttention(level: level) && (ends || variant.decoderAttention == .everyBlock)
            stage(
                "output_blocks.\(index)", concatenation.whole, into: target, level: level, attends: attends,
                upsamples: level > 0 && ends)
            builder.place(.up(index), at: target)
        }
        return last
    }

    /// A residual block, an attention block where there is one, and after a level of the decoder an upsampling.
    private mutating func stage(
        _ key: String, _ input: BufferIndex, into output: BufferIndex, level: Int, attends: Bool,
        upsamples: Bool = false
    ) {
        let width = architecture.width(level: level)
        let side = builder.side(of: input)
        let residual = attends || upsamples ? builder.buffer(key + ".0", channels: width, side: side) : output
        residualBlock(key + ".0", input, into: residual)
        var current = residual
        if attends {
            let attended = upsamples ? builder.buffer(key + ".1", channels: width, side: side) : output
            attentionBlock(key + ".1", current, into: attended)
            current = attended
        }
        if upsamples { upsampling("\(key).\(attends ? 2 : 1)", current, into: output) }
    }

    private mutating func downsampling(_ key: String, _ input: BufferIndex, into output: BufferIndex) {
        guard variant.resampling == .convolution else {
            return residualBlock(key, input, into: output, resampling: .down)
        }
        let padding: ConvolutionShape.Padding =
            switch variant.downsamplingPadding {
            case .symmetric: .symmetric
            case .bottomRight: .bottomRight
            }
        builder.append([
            builder.convolution(key + ".op", input, into: output, resampling: .down, padding: padding)
        ])
    }

    private mutating func upsampling(_ key: String, _ input: BufferIndex, into output: BufferIndex) {
        guard variant.resampling == .convolution else {
            return residualBlock(key, input, into: output, resampling: .up)
        }
        builder.append([builder.convolution(key + ".conv", input, into: output, resampling: .up)])
    }
}

// MARK: - Blocks

extension UNetLowering {
    private var residualFactor: Float { Float(variant.residualScale) }

    /// GroupNorm, modulated or not, and SiLU.
    private func transform(
        _ normKey: String, modulation: NetworkOperation.Modulation? = nil, isActivated: Bool = true
    ) -> NetworkOperation.Transform {
        .init(normKey: normKey, epsilon: variant.epsilon, modulation: modulation, isActivated: isActivated)
    }

    private var modulationKind: ModulationKind {
        switch variant.modulation {
        case .film: .scaleAndShift
        case .additive: .addend
        }
    }

    /// x ↦ factor·(skip(x) + conv(SiLU(GN(conv(SiLU(GN(x)))·(1 + scale) + shift)))), or with an addend within the second GN; skip
    /// is a 1x1 convolution where the widths differ. A block that resamples does so to x, for the skip, and to SiLU(GN(x)).
    private mutating func residualBlock(
        _ key: String, _ input: BufferIndex, into output: BufferIndex,
        resampling: ConvolutionShape.Resampling = .none
    ) {
        let hidden = builder.buffer(key + " hidden", like: output)
        let first = firstConvolution(key, input, into: hidden, resampling: resampling)
        let modulation = builder.modulation(
            key + ".emb_layers.1", modulationKind, channels: builder.channels(of: output))
        let (shortcut, residual) = shortcut(key, input, into: output, resampling: resampling)
        let last = builder.convolution(
            key + ".out_layers.3", hidden, into: output,
            transform: transform(key + ".out_layers.0", modulation: modulation), residual: residual,
            factor: residualFactor, startsAtZero: true)
        // The skip comes last in model files.
        builder.append(first + shortcut + [last], parameterOrder: first + [last] + shortcut)
    }

    /// x ↦ conv(SiLU(GN(x))), resampled before the convolution.
    private mutating func firstConvolution(
        _ key: String, _ input: BufferIndex, into hidden: BufferIndex, resampling: ConvolutionShape.Resampling
    ) -> [NetworkOperation] {
        let transform = transform(key + ".in_layers.0")
        guard resampling != .none else {
            return [builder.convolution(key + ".in_layers.2", input, into: hidden, transform: transform)]
        }
        let resampled = builder.buffer(
            key + " resampled", channels: builder.channels(of: input), side: builder.side(of: hidden))
        return [
            builder.resampling(key + ".h_upd", input, into: resampled, resampling, transform: transform),
            builder.convolution(key + ".in_layers.2", resampled, into: hidden),
        ]
    }

    /// What makes the residual of a block's last convolution, and the buffer that has it: the input itself where nothing is to be
    /// done, otherwise the output.
    private mutating func shortcut(
        _ key: String, _ input: BufferIndex, into output: BufferIndex, resampling: ConvolutionShape.Resampling
    ) -> (operations: [NetworkOperation], residual: BufferIndex) {
        let resamples = resampling != .none
        let hasConvolution =
            builder.channels(of: input) != builder.channels(of: output)
            || resamples && variant.resampling == .residualWithSkip
        guard hasConvolution else {
            guard resamples || residualFactor != 1 else { return ([], input) }
            return (
                [builder.resampling(key + ".x_upd", input, into: output, resampling, factor: residualFactor)], output
            )
        }
        var (operations, source) = ([NetworkOperation](), input)
        if resamples {
            source = builder.buffer(
                key + " shortcut", channels: builder.channels(of: input), side: builder.side(of: output))
            operations.append(builder.resampling(key + ".x_upd", input, into: source, resampling))
        }
        operations.append(
            builder.pointwise(key + ".skip_connection", source, into: output, factor: residualFactor))
        return (operations, output)
    }

    /// x ↦ factor·(x + proj(attention(qkv(GN(x))))).
    private mutating func attentionBlock(_ key: String, _ input: BufferIndex, into output: BufferIndex) {
        let side = builder.side(of: input)
        let attention = Attention(
            channels: builder.channels(of: input), heads: architecture.heads(width: builder.channels(of: input)),
            side: side)
        let queriesKeysValues = builder.buffer(
            key + " qkv", channels: attention.queriesKeysValues.outputs, side: side)
        let attended = builder.buffer(key + " attended", channels: attention.paddedChannels, side: side)
        let (shortcut, residual) = shortcut(key, input, into: output, resampling: .none)
        builder.append(
            [
                builder.pointwise(
                    key + ".qkv", input, into: queriesKeysValues, weights: .queriesKeysValues(attention),
                    transform: transform(key + ".norm", isActivated: false)),
                builder.attention(key, attention, queriesKeysValues, into: attended),
            ] + shortcut + [
                builder.pointwise(
                    key + ".proj_out", attended, into: output, weights: .attendedValues(attention),
                    residual: residual, factor: residualFactor, startsAtZero: true)
            ])
    }
}
