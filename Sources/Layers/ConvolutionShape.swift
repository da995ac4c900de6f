public import Tensor

/// What there is to know of a 3x3 convolution without its weights: how it is computed, and what memory that takes.
public struct ConvolutionShape: ConvolutionLayerShape {
    /// What happens to the resolution.
    public enum Resampling: Sendable {
        /// Stride 1.
        case none
        /// Stride 2: the output's side is half the input's, rounded up.
        case down
        /// Every input pixel doubled in both directions first.
        case up
    }

    /// Where a stride of 2 pads the input by 1.
    public enum Padding: Sendable {
        /// On every side.
        case symmetric
        /// On the right and below.
        case bottomRight
    }

    /// How the convolution is computed. The choice depends on the shape only, never on the batch, so that an image's
    /// result does not depend on the rest of its batch.
    public enum Algorithm: String, Sendable {
        /// Winograd F(4x4,3x3) (Lavin and Gray 2016): 36 multiplications for 16 pixels.
        case winograd4 = "F(4x4)"
        /// Winograd F(2x2,3x3): 16 multiplications for 4 pixels; less waste on small images.
        case winograd2 = "F(2x2)"
        /// im2col and one matrix product.
        case direct
    }

    package let inputs: Int
    package let outputs: Int
    package let inputSide: Int
    package let side: Int
    /// What happens to the resolution.
    public let resampling: Resampling
    /// Where a stride of 2 pads.
    public let padding: Padding
    /// How it is computed.
    public let algorithm: Algorithm
    /// What its products are computed in: bf16 only with F(2x2), since `direct` is too little of the work.
    public let precision: Precision
    package let inputBlocks: Int
    package let outputBlocks: Int

    /// Describes a convolution.
    /// - Parameters:
    ///   - side: height and width of the input in pixels, at least 1.
    ///   - padding: `bottomRight` is only for a stride of 2 and an even side.
    ///   - precision: what its products may be computed in.
    public init(
        inputs: Int, outputs: Int, side inputSide: Int, resampling: Resampling = .none, padding: Padding = .symmetric,
        precision: Precision = .f32
    ) {
        precondition(inputSide > 0)
        precondition(padding == .symmetric || resampling == .down && inputSide.isMultiple(of: 2))
        self.inputs = inputs
        self.outputs = outputs
        self.inputSide = inputSide
        self.resampling = resampling
        self.padding = padding
        side =
            switch resampling {
            case .none: inputSide
            case .down: (inputSide + 1) / 2
            case .up: inputSide * 2
            }
        algorithm = Self.algorithm(inputs: inputs, side: side, resampling: resampling, precision: precision)
        self.precision = algorithm == .winograd2 ? precision : .f32
        inputBlocks = FeatureMap.blocks(inputs)
        outputBlocks = FeatureMap.blocks(outputs)
    }

    package func computed(in precision: Precision) -> ConvolutionShape {
        ConvolutionShape(
            inputs: inputs, outputs: outputs, side: inputSide, resampling: resampling, padding: padding,
            precision: precision)
    }

    /// Chooses by shape: F(4x4) from 12 pixels up, F(2x2) down to 4 pixels, where F(4x4) would spend its saving on tiles
    /// that stick out; direct for strides, for a few input channels (whose transforms would cost more than they save)
    /// and below 4 pixels. In bf16, whose products cost half and whose weights a fifth of F(4x4)'s, F(2x2) is faster
    /// on large images too, and F(4x4) would lose too many digits.
    private static func algorithm(
        inputs: Int, side: Int, resampling: Resampling, precision: Precision
    ) -> Algorithm {
        if resampling == .down || inputs < channelBlock || side < 4 { return .direct }
        return side >= 12 && precision == .f32 ? .winograd4 : .winograd2
    }

    package var multiplyAdds: Int { 9 * inputs * outputs * side * side }

    package var weightFloats: Int { outputBlocks * positions * inputBlocks * channelBlock * precision.words }

    package var scratchFloats: Int {
        InputReader.scratchFloats(channels: inputBlocks * channelBlock) + Scratch.rounded(stripFloats)
            + (algorithm == .direct ? directScratchFloats : winogradScratchFloats)
    }

    package var weightShape: [Int]? { [outputs, inputs, 3, 3] }

    package var gradientTemporary: (channels: Int, side: Int)? {
        switch resampling {
        case .none: nil
        case .down: (outputs, fullSide)
        case .up: (inputs, fullSide)
        }
    }
}

// MARK: - Geometry

extension ConvolutionShape {
    /// Matrix products that a tile takes; for `direct`, the taps of one product.
    var positions: Int {
        switch algorithm {
        case .winograd4: 36
        case .winograd2: 16
        case .direct: 9
        }
    }

    /// Whether tiles are those of F(4x4).
    var isLarge: Bool { algorithm == .winograd4 }

    /// The side at which the 3x3 windows lie: the input's where a stride follows, the output's otherwise.
    var fullSide: Int { resampling == .down ? inputSide : side }

    /// Rows of padding above the image, and columns left of it.
    var leadingPadding: Int { padding == .symmetric ? 1 : 0 }

    /// Pixels from one output pixel's window to the next.
    var step: Int { resampling == .down ? 2 : 1 }

    /// Rows of one band's matrices: tiles, or pixels if direct.
    var rowsPerBand: Int {
        switch algorithm {
        case .winograd4: (side + 3) / 4
        case .winograd2: 2 * ((side + 1) / 2)
        case .direct: bandRows * side
        }
    }

    /// Columns of the input matrix.
    var columns: Int { inputBlocks * channelBlock * (algorithm == .direct ? 9 : 1) }

    /// Bands worked on together: about 64 tiles, so that a chunk's transformed input stays near the core while the
    /// weights stream past it, and weights are read seldom enough.
    var chunkBands: Int { max(1, (algorithm == .direct ? 96 : 64) / rowsPerBand) }

    /// Pixels of a strip's row: the convolution's input with its padding, rounded up to whole tiles.
    var stripWidth: Int {
        switch algorithm {
        case .winograd4: (side + 3) / 4 * 4 + 2
        case .winograd2: (side + 1) / 2 * 2 + 2
        case .direct: (side - 1) * step + 3
        }
    }

    /// Rows of the strip that `bands` bands of output need.
    func stripRows(bands: Int) -> Int { (bands * bandRows - 1) * step + 3 }

    /// Bands of a strip, which never exceeds an image.
    var stripBands: Int { min(chunkBands, FeatureMap.bands(side)) }

    /// Floats of the largest strip.
    var stripFloats: Int { stripRows(bands: stripBands) * stripWidth * channelBlock }

    /// Pixels of a segment's output.
    func pixels(_ segment: Segment) -> Int {
        (min(segment.bands.upperBound * bandRows, side) - segment.bands.lowerBound * bandRows) * side
    }

    /// Floats of the input matrix of `direct`.
    var directScratchFloats: Int { columns * chunkBands * rowsPerBand }

    /// Output blocks multiplied before their tiles are transformed back: the products of a group stay in the cache.
    static var blockGroup: Int { 4 }

    /// Floats of a chunk's transformed input and of its products.
    var winogradScratchFloats: Int {
        let tiles = chunkBands * rowsPerBand
        // Row groups are rounded up: at most one tile a group is unused.
        let padded = tiles + tiles / 4 + channelBlock
        return positions * padded * inputBlocks * precision.words + positions * tiles * Self.blockGroup * channelBlock
            + 2 * channelBlock
    }

    package func division(batch: Int, on pool: WorkerPool) -> WorkDivision {
        WorkDivision(
            workers: pool.count, imageParts: pool.imageParts(batch),
            units: batch * FeatureMap.bands(side), blocks: outputBlocks,
            rows: rowsPerBand * productsPerRow, inputs: columns,
            weights: positions * inputBlocks * channelBlock * precision.words,
            source: bandRows * side * inputBlocks * channelBlock * (resampling == .down ? 4 : 1))
    }

    package func plan(_ division: WorkDivision) -> LayerPlan {
        LayerPlan(
            kind: algorithm == .winograd4 ? .winograd4 : algorithm == .winograd2 ? .winograd2 : .direct,
            precision: precision, inputs: inputs, outputs: outputs, side: side, multiplyAdds: multiplyAdds,
            products: FeatureMap.bands(side) * rowsPerBand * productsPerRow * columns * outputBlocks * channelBlock,
            weightBytes: weightFloats * MemoryLayout<Float>.stride, unitParts: division.unitParts,
            blockParts: division.blockParts)
    }

    private var productsPerRow: Int { algorithm == .direct ? 1 : positions }
}
