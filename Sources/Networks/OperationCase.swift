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

    private init(
        _ name: String, inputs: Int, outputs: Int, side: Int, images: Int, outputSide: Int? = nil,
        _ operations: (inout ProgramBuilder, _ state: NetworkProgram.BufferIndex, _ result: NetworkProgram.BufferIndex)
            -> Void
    ) {
        description = "\(name), \(inputs)>\(outputs), \(side)x\(side)"
        var builder = ProgramBuilder(
            TimeEmbedding(channels: 32, width: 48, firstKey: "time.0", secondKey: "time.2"))
        let state = builder.buffer("state", channels: inputs, side: side)
        let result = builder.buffer("result", channels: outputs, side: outputSide ?? side)
        operations(&builder, state, result)
        program = builder.program(from: state, to: result)
        self.images = images
    }
}

// MARK: - The tables

extension OperationCase {
    /// Small cases for tests: every algorithm, and sizes that blocks, tiles, bands and chunks don't divide.
    public static let tested: [OperationCase] =
        [
            (3, 32, 9, 2), (32, 32, 1, 3), (32, 64, 2, 2), (64, 32, 3, 1), (32, 32, 4, 5), (32, 48, 5, 2),
            (32, 32, 8, 3), (64, 32, 11, 1), (32, 32, 12, 2), (32, 64, 13, 1), (48, 3, 16, 2), (32, 32, 18, 1),
            (16, 16, 33, 1),
        ].flatMap { inputs, outputs, side, images in
            [ConvolutionShape.Resampling.none, .down, .up].map {
                convolution($0, inputs: inputs, outputs: outputs, side: side, images: images)
            }
        }
        // Sums of gradients that workers share, over more tiles than a chunk.
        + [(128, 160, 8, 1), (128, 144, 5, 22)].map {
            convolution(.none, inputs: $0, outputs: $1, side: $2, images: $3)
        }
        + [(96, 32, 5, 2), (32, 64, 16, 3)].flatMap { inputs, outputs, side, images in
            [
                transformed(inputs: inputs, outputs: outputs, side: side, images: images),
                residualBlock(inputs: inputs, outputs: outputs, side: side, images: images),
                residualBlock(inputs: inputs, outputs: inputs, side: side, images: images),
                concatenation(inputs: inputs, outputs: outputs, side: side, images: images),
            ]
        }
        + [(32, 96, 1, 3), (96, 32, 4, 3), (64, 64, 7, 3), (32, 32, 20, 2)].map {
            pointwise(inputs: $0, outputs: $1, side: $2, images: $3)
        }
        // Heads whose width is no multiple of 16, an odd number of pixels, more queries than a chunk.
        + [(32, 4, 1, 2), (32, 4, 5, 2), (64, 2, 4, 2), (96, 4, 9, 1), (32, 1, 12, 2)].map {
            attention(channels: $0, heads: $1, side: $2, images: $3)
        }

    /// The operations of the published networks at their sizes, for benchmarks.
    public static let benchmarked: [OperationCase] =
        [(128, 128, 32), (256, 256, 16), (512, 256, 16), (256, 256, 8), (256, 256, 4), (128, 128, 64), (384, 384, 16)]
        .map {
            transformed(inputs: $0, outputs: $1, side: $2, images: 1)
        }
        + [
            convolution(.none, inputs: 3, outputs: 128, side: 32, images: 1),
            convolution(.down, inputs: 128, outputs: 128, side: 32, images: 1),
            convolution(.up, inputs: 256, outputs: 256, side: 16, images: 1),
            residualBlock(inputs: 256, outputs: 128, side: 32, images: 1),
            pointwise(inputs: 256, outputs: 128, side: 32, images: 1),
            attention(channels: 256, heads: 4, side: 16, images: 1),
            attention(channels: 256, heads: 4, side: 8, images: 1),
        ]
}

// MARK: - Operations

extension OperationCase {
    /// A 3x3 convolution; one that keeps channels and resolution has a residual.
    private static func convolution(
        _ resampling: ConvolutionShape.Resampling, inputs: Int, outputs: Int, side: Int, images: Int
    ) -> OperationCase {
        let name =
            switch resampling {
            case .none: "3x3"
            case .down: "3x3 with stride 2"
            case .up: "3x3 after doubling"
            }
        let shape = ConvolutionShape(inputs: inputs, outputs: outputs, side: side, resampling: resampling)
        return OperationCase(
            name, inputs: inputs, outputs: outputs, side: side, images: images, outputSide: shape.side
        ) { builder, state, result in
            let hasResidual = resampling == .none && inputs == outputs
            builder.append([
                builder.convolution(
                    "convolution", state, into: result, resampling: resampling, residual: hasResidual ? state : nil)
            ])
        }
    }

    /// A 3x3 convolution of a normalised, modulated and activated map, which a 1x1 convolution made.
    private static func transformed(inputs: Int, outputs: Int, side: Int, images: Int) -> OperationCase {
        OperationCase("3x3 of a transform", inputs: inputs, outputs: outputs, side: side, images: images) {
            builder, state, result in
            let map = builder.buffer("map", like: state)
            let transform = NetworkOperation.Transform(
                normKey: "norm", modulation: builder.modulation("modulation", channels: inputs), isActivated: true)
            builder.append([
                builder.pointwise("before", state, into: map),
                builder.convolution("convolution", map, into: result, transform: transform),
            ])
        }
    }

    /// Two 3x3 convolutions and a residual, which is a 1x1 convolution where the widths differ.
    private static func residualBlock(inputs: Int, outputs: Int, side: Int, images: Int) -> OperationCase {
        OperationCase("residual block", inputs: inputs, outputs: outputs, side: side, images: images) {
            builder, state, result in
            let (map, hidden) = (builder.buffer("map", like: state), builder.buffer("hidden", like: result))
            let modulation = builder.modulation("modulation", channels: outputs)
            let isPlain = inputs == outputs
            builder.append([
                builder.pointwise("before", state, into: map),
                builder.convolution("first", map, into: hidden, transform: .init(normKey: "norm.0", isActivated: true)),
            ])
            if !isPlain { builder.append([builder.pointwise("skip", map, into: result)]) }
            builder.append([
                builder.convolution(
                    "second", hidden, into: result,
                    transform: .init(normKey: "norm.1", modulation: modulation, isActivated: true),
                    residual: isPlain ? map : result)
            ])
        }
    }

    /// A 3x3 convolution of what two 1x1 convolutions wrote, the first of which is read again.
    private static func concatenation(inputs: Int, outputs: Int, side: Int, images: Int) -> OperationCase {
        OperationCase("3x3 of a concatenation", inputs: inputs, outputs: outputs, side: side, images: images) {
            builder, state, result in
            let whole = builder.buffer("whole", channels: 2 * inputs, side: side)
            let front = builder.channels(0..<inputs, of: whole, "front")
            let back = builder.channels(inputs..<2 * inputs, of: whole, "back")
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
    private static func pointwise(inputs: Int, outputs: Int, side: Int, images: Int) -> OperationCase {
        OperationCase("1x1", inputs: inputs, outputs: outputs, side: side, images: images) { builder, state, result in
            let map = builder.buffer("map", like: state)
            builder.append([
                builder.pointwise("before", state, into: map),
                builder.pointwise(
                    "convolution", map, into: result, transform: normalization(side: side)),
            ])
        }
    }

    /// An attention with its convolutions, normalisation and residual.
    private static func attention(channels: Int, heads: Int, side: Int, images: Int) -> OperationCase {
        OperationCase(
            "attention of \(heads) heads", inputs: channels, outputs: channels, side: side, images: images
        ) { builder, state, result in
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
