import Layers

/// A program around one operation: tests hold it against the operation's definition on every set of kernels, in both
/// directions, and `headwater bench` measures its speed. A new kind of operation, or a new field of one, adds its cases here.
public struct OperationCase: Sendable, CustomStringConvertible {
    /// The operation and its sizes, such as `3x3 with stride 2, 32>64, 16x16`.
    public let description: String
    /// The program, whose state has as many channels as the operation reads.
    public let program: NetworkProgram
    /// Images in a batch.
    public let images: Int

    /// Channels of the state and of the result, height and width of the state in pixels, images in a batch.
    private typealias Sizes = (inputs: Int, outputs: Int, side: Int, images: Int)

    private init(
        _ name: String, _ sizes: Sizes, outputSide: Int? = nil,
        _ operations: (inout ProgramBuilder, _ state: ProgramBuilder.BufferIndex, _ result: ProgramBuilder.BufferIndex)
            -> Void
    ) {
        description = "\(name), \(sizes.inputs)>\(sizes.outputs), \(sizes.side)x\(sizes.side)"
        var builder = ProgramBuilder(
            TimeEmbedding(channels: 32, width: 48, firstKey: "time.0", secondKey: "time.2"))
        let state = builder.buffer("state", channels: sizes.inputs, side: sizes.side)
        let result = builder.buffer("result", channels: sizes.outputs, side: outputSide ?? sizes.side)
        operations(&builder, state, result)
        program = builder.program(from: state, to: result)
        images = sizes.images
    }
}

// MARK: - The tables

extension OperationCase {
    /// Small cases for tests: every algorithm, and sizes that blocks, tiles, bands and chunks don't divide.
    public static let tested: [OperationCase] =
        testedConvolutions + testedTransforms + testedResampling + testedProducts

    private static let testedConvolutions: [OperationCase] = {
        let sizes: [Sizes] = [
            (3, 32, 9, 2), (32, 32, 1, 3), (32, 64, 2, 2), (64, 32, 3, 1), (32, 32, 4, 5), (32, 48, 5, 2),
            (32, 32, 8, 3), (64, 32, 11, 1), (32, 32, 12, 2), (32, 64, 13, 1), (48, 3, 16, 2), (32, 32, 18, 1),
            (16, 16, 33, 1),
        ]
        // Sums of gradients that workers share, over more tiles than a chunk.
        let shared: [Sizes] = [(128, 160, 8, 1), (128, 144, 5, 22)]
        let padded: [Sizes] = [(32, 32, 2, 2), (16, 48, 10, 3)]
        return sizes.flatMap { sizes in everyResampling.map { convolution($0, sizes) } }
            + shared.map { convolution(.none, $0) }
            + padded.map { convolution(.down, $0, padding: .bottomRight) }
    }()

    private static let testedTransforms: [OperationCase] = {
        let sizes: [Sizes] = [(96, 32, 5, 2), (32, 64, 16, 3)]
        // Groups of one channel, whose addends change nothing, have no gradient but rounding.
        let addends: [Sizes] = [(64, 96, 6, 2), (96, 64, 13, 1)]
        return sizes.flatMap { (sizes: Sizes) -> [OperationCase] in
            let same = (sizes.inputs, sizes.inputs, sizes.side, sizes.images)
            return [transformed(sizes), residualBlock(sizes), residualBlock(same), concatenation(sizes)]
        }
            + addends.flatMap { (sizes: Sizes) -> [OperationCase] in
                [transformed(sizes, .addend), residualBlock(sizes, .addend, factor: 0.7)]
            }
    }()

    private static let testedResampling: [OperationCase] = {
        let sizes: [Sizes] = [(32, 32, 2, 3), (64, 64, 6, 1), (32, 32, 18, 2)]
        return sizes.flatMap { sizes in
            everyResampling.flatMap { [resampled($0, sizes), resampledBlock($0, sizes)] }
        }
    }()

    private static let testedProducts: [OperationCase] = {
        let sizes: [Sizes] = [(32, 96, 1, 3), (96, 32, 4, 3), (64, 64, 7, 3), (32, 32, 20, 2)]
        // Heads whose width is no multiple of 16, an odd number of pixels, more queries than a chunk.
        let heads: [(channels: Int, heads: Int, side: Int, images: Int)] = [
            (32, 4, 1, 2), (32, 4, 5, 2), (64, 2, 4, 2), (96, 4, 9, 1), (32, 1, 12, 2),
        ]
        return sizes.map(pointwise)
            + heads.map { attention(channels: $0.channels, heads: $0.heads, side: $0.side, images: $0.images) }
    }()

    private static let everyResampling: [ConvolutionShape.Resampling] = [.none, .down, .up]

    /// The operations of the published networks at their sizes, for benchmarks.
    public static let benchmarked: [OperationCase] = {
        let sizes: [Sizes] = [
            (128, 128, 32, 1), (256, 256, 16, 1), (512, 256, 16, 1), (256, 256, 8, 1), (256, 256, 4, 1),
            (128, 128, 64, 1), (384, 384, 16, 1),
        ]
        return sizes.map { transformed($0) } + [
            convolution(.none, (3, 128, 32, 1)), convolution(.down, (128, 128, 32, 1)),
            convolution(.up, (256, 256, 16, 1)), residualBlock((256, 128, 32, 1)), pointwise((256, 128, 32, 1)),
            attention(channels: 256, heads: 4, side: 16, images: 1),
            attention(channels: 256, heads: 4, side: 8, images: 1),
        ]
    }()
}

// MARK: - Operations

extension OperationCase {
    /// A 3x3 convolution; one that keeps channels and resolution has a residual.
    private static func convolution(
        _ resampling: ConvolutionShape.Resampling, _ sizes: Sizes, padding: ConvolutionShape.Padding = .symmetric
    ) -> OperationCase {
        let name =
            switch resampling {
            case .none: "3x3"
            case .down where padding == .bottomRight: "3x3 with stride 2 from the first pixel"
            case .down: "3x3 with stride 2"
            case .up: "3x3 after doubling"
            }
        let shape = ConvolutionShape(
            inputs: sizes.inputs, outputs: sizes.outputs, side: sizes.side, resampling: resampling, padding: padding)
        return OperationCase(name, sizes, outputSide: shape.side) { builder, state, result in
            let hasResidual = resampling == .none && sizes.inputs == sizes.outputs
            builder.append([
                builder.convolution(
                    "convolution", state, into: result, resampling: resampling, padding: padding,
                    residual: hasResidual ? state : nil)
            ])
        }
    }

    /// A 3x3 convolution of a normalised, modulated and activated map, which a 1x1 convolution made.
    private static func transformed(
        _ sizes: Sizes, _ modulation: ModulationKind = .scaleAndShift
    ) -> OperationCase {
        OperationCase("3x3 of a transform" + (modulation == .addend ? " with an addend" : ""), sizes) {
            builder, state, result in
            let map = builder.buffer("map", like: state)
            let transform = NetworkOperation.Transform(
                normKey: "norm", epsilon: modulation == .addend ? 1e-2 : 1e-5,
                modulation: builder.modulation("modulation", modulation, channels: sizes.inputs), isActivated: true)
            builder.append([
                builder.pointwise("before", state, into: map),
                builder.convolution("convolution", map, into: result, transform: transform),
            ])
        }
    }

    /// Two 3x3 convolutions and a residual, which is a 1x1 convolution where the widths differ.
    private static func residualBlock(
        _ sizes: Sizes, _ kind: ModulationKind = .scaleAndShift, factor: Float = 1
    ) -> OperationCase {
        let name = kind == .addend ? "residual block with an addend and a factor" : "residual block"
        return OperationCase(name, sizes) { builder, state, result in
            let (map, hidden) = (builder.buffer("map", like: state), builder.buffer("hidden", like: result))
            let modulation = builder.modulation("modulation", kind, channels: sizes.outputs)
            let isPlain = sizes.inputs == sizes.outputs
            builder.append([
                builder.pointwise("before", state, into: map),
                builder.convolution("first", map, into: hidden, transform: .init(normKey: "norm.0", isActivated: true)),
            ])
            if !isPlain { builder.append([builder.pointwise("skip", map, into: result, factor: factor)]) }
            builder.append([
                builder.convolution(
                    "second", hidden, into: result,
                    transform: .init(normKey: "norm.1", modulation: modulation, isActivated: true),
                    residual: isPlain ? map : result, factor: factor)
            ])
        }
    }

    private static func name(_ resampling: ConvolutionShape.Resampling) -> String {
        switch resampling {
        case .none: "copy"
        case .down: "halving"
        case .up: "doubling"
        }
    }

    private static func side(_ side: Int, after resampling: ConvolutionShape.Resampling) -> Int {
        ResamplingShape(channels: channelBlock, side: side, resampling: resampling).side
    }

    /// A resampling times a factor.
    private static func resampled(_ resampling: ConvolutionShape.Resampling, _ sizes: Sizes) -> OperationCase {
        let side = side(sizes.side, after: resampling)
        return OperationCase(name(resampling) + " with a factor", sizes, outputSide: side) { builder, state, result in
            builder.append([builder.resampling("resampling", state, into: result, resampling, factor: 0.7)])
        }
    }

    /// A residual block both of whose branches are resampled.
    private static func resampledBlock(_ resampling: ConvolutionShape.Resampling, _ sizes: Sizes) -> OperationCase {
        let side = side(sizes.side, after: resampling)
        return OperationCase("block with a " + name(resampling), sizes, outputSide: side) { builder, state, result in
            let (map, branch) = (builder.buffer("map", like: state), builder.buffer("branch", like: result))
            builder.append([
                builder.pointwise("before", state, into: map),
                builder.resampling(
                    "branch", map, into: branch, resampling, transform: .init(normKey: "norm", isActivated: true)),
                builder.resampling("shortcut", map, into: result, resampling, factor: 0.7),
                builder.convolution("convolution", branch, into: result, residual: result, factor: 0.7),
            ])
        }
    }

    /// A 3x3 convolution of what two 1x1 convolutions wrote, the first of which is read again.
    private static func concatenation(_ sizes: Sizes) -> OperationCase {
        OperationCase("3x3 of a concatenation", sizes) { builder, state, result in
            let whole = builder.buffer("whole", channels: 2 * sizes.inputs, side: sizes.side)
            let front = builder.channels(0..<sizes.inputs, of: whole, "front")
            let back = builder.channels(sizes.inputs..<2 * sizes.inputs, of: whole, "back")
            builder.append([
                builder.pointwise("first", state, into: back),
                builder.pointwise("second", back, into: front, transform: .init(normKey: "norm.0", isActivated: true)),
                builder.convolution(
                    "third", whole, into: result, transform: .init(normKey: "norm.1", isActivated: true)),
            ])
        }
    }

    /// A normalisation without activation; none of single pixels, which have no variance in groups of one channel.
    private static func normalization(side: Int) -> NetworkOperation.Transform? {
        side > 1 ? NetworkOperation.Transform(normKey: "norm", isActivated: false) : nil
    }

    /// A 1x1 convolution of a normalised map.
    private static func pointwise(_ sizes: Sizes) -> OperationCase {
        OperationCase("1x1", sizes) { builder, state, result in
            let map = builder.buffer("map", like: state)
            builder.append([
                builder.pointwise("before", state, into: map),
                builder.pointwise("convolution", map, into: result, transform: normalization(side: sizes.side)),
            ])
        }
    }

    /// An attention with its convolutions, normalisation and residual.
    private static func attention(channels: Int, heads: Int, side: Int, images: Int) -> OperationCase {
        OperationCase("attention of \(heads) heads", (channels, channels, side, images)) { builder, state, result in
            let attention = Attention(channels: channels, heads: heads, side: side)
            let map = builder.buffer("map", like: state)
            let mixed = builder.buffer("qkv", channels: attention.queriesKeysValues.outputs, side: side)
            let attended = builder.buffer("attended", channels: attention.paddedChannels, side: side)
            builder.append([
                builder.pointwise("before", state, into: map),
                builder.pointwise(
                    "qkv", map, into: mixed, weights: .queriesKeysValues(attention),
                    transform: normalization(side: side)),
                builder.attention("attention", attention, mixed, into: attended),
                builder.pointwise(
                    "projection", attended, into: result, weights: .attendedValues(attention), residual: map),
            ])
        }
    }
}
