import CKernels
public import Tensor

/// A 3x3 convolution with padding 1 and a bias: at full resolution, with stride 2, or after doubling the resolution by
/// nearest neighbour. Input normalisation and activation, the residual and the moments of the output are part of it.
public final class Convolution: Sendable {
    /// What happens to the resolution.
    public enum Resampling: Sendable {
        /// Stride 1.
        case none
        /// Stride 2: the output's side is half the input's, rounded up.
        case down
        /// Every input pixel doubled in both directions first.
        case up
    }

    /// How the convolution is computed. The choice depends on the shape only, never on the batch, so that an image's
    /// result does not depend on its company.
    public enum Algorithm: String, Sendable {
        /// Winograd F(4x4,3x3) (Lavin and Gray 2016): 36 multiplications for 16 pixels.
        case winograd4 = "F(4x4)"
        /// Winograd F(2x2,3x3): 16 multiplications for 4 pixels; less waste on small images.
        case winograd2 = "F(2x2)"
        /// im2col and one matrix product.
        case direct
    }

    /// Channels read, before padding to 16.
    public let inputs: Int
    /// Channels written, before padding to 16.
    public let outputs: Int
    /// Height and width of the output in pixels.
    public let side: Int
    /// What happens to the resolution.
    public let resampling: Resampling
    /// How it is computed.
    public let algorithm: Algorithm
    /// What its products are computed in: bf16 only with F(2x2), `direct` being too little of the work.
    public let precision: Precision
    let inputSide: Int
    let inputBlocks: Int
    let outputBlocks: Int
    let weights: AlignedBuffer
    let bias: AlignedBuffer

    /// Packs the weights.
    /// - Parameters:
    ///   - weight: [outputs][inputs][3][3], as PyTorch keeps it.
    ///   - bias: [outputs].
    ///   - side: height and width of the input in pixels.
    ///   - precision: what its products may be computed in.
    public init(
        weight: [Float], bias: [Float], inputs: Int, outputs: Int, side: Int, resampling: Resampling = .none,
        precision: Precision = .f32, pool: WorkerPool
    ) {
        precondition(weight.count == outputs * inputs * 9 && bias.count == outputs && side > 0)
        self.inputs = inputs
        self.outputs = outputs
        self.resampling = resampling
        inputSide = side
        self.side = Self.outputSide(side, resampling)
        inputBlocks = FeatureMap.blocks(inputs)
        outputBlocks = FeatureMap.blocks(outputs)
        algorithm = Self.algorithm(inputs: inputs, side: self.side, resampling: resampling, precision: precision)
        self.precision = algorithm == .winograd2 ? precision : .f32
        var paddedBias = bias
        paddedBias += [Float](repeating: 0, count: outputBlocks * channelBlock - outputs)
        self.bias = AlignedBuffer(paddedBias)
        weights = AlignedBuffer(
            count: Self.weightFloats(
                inputs: inputs, outputs: outputs, side: side, resampling: resampling, precision: precision))
        pack(weight, pool: pool)
    }

    /// Floats of memory that the packed weights of a convolution with these arguments of `init` take.
    public static func weightFloats(
        inputs: Int, outputs: Int, side: Int, resampling: Resampling = .none, precision: Precision = .f32
    ) -> Int {
        let algorithm = algorithm(
            inputs: inputs, side: outputSide(side, resampling), resampling: resampling, precision: precision)
        let words = (algorithm == .winograd2 ? precision : .f32).words
        return FeatureMap.blocks(outputs) * positions(algorithm) * FeatureMap.blocks(inputs) * channelBlock * words
    }

    /// About how much scratch a worker needs for a convolution without resampling, in floats; never too little.
    public static func mostScratchFloats(inputs: Int, side: Int, precision: Precision = .f32) -> Int {
        let algorithm = algorithm(inputs: inputs, side: side, resampling: .none, precision: precision)
        let tiles = 64
        let transformed = (tiles + tiles / 4 + channelBlock) * FeatureMap.blocks(inputs) * channelBlock
        let products = positions(algorithm) * (transformed + tiles * blockGroup * channelBlock)
        // The strip of rows that is transformed, and what normalising takes.
        return products + FeatureMap.dataCount(channels: channelBlock, side: side + 2) + 4 * inputs + (8 << 10)
    }

    private static func outputSide(_ side: Int, _ resampling: Resampling) -> Int {
        switch resampling {
        case .none: side
        case .down: (side + 1) / 2
        case .up: side * 2
        }
    }

    /// Replaces weights and bias, laid out as for `init`; a nil bias is zero. Nobody may be convolving meanwhile.
    public func repack(weight: UnsafePointer<Float>, bias: UnsafePointer<Float>?, pool: WorkerPool) {
        if let bias { self.bias.pointer.update(from: bias, count: outputs) }
        pack(weight, pool: pool)
    }

    /// Chooses by shape: F(4x4) from 16 pixels up, F(2x2) down to 4 pixels, where F(4x4) would spend its saving on tiles
    /// that stick out; direct for strides, for a few input channels (whose transforms would cost more than they save)
    /// and below 4 pixels. In bf16, whose products cost half and whose weights a fifth of F(4x4)'s, F(2x2) is faster
    /// on large images too, and F(4x4) would lose too many digits.
    static func algorithm(inputs: Int, side: Int, resampling: Resampling, precision: Precision = .f32) -> Algorithm {
        if resampling == .down || inputs < channelBlock || side < 4 { return .direct }
        return side >= 12 && precision == .f32 ? .winograd4 : .winograd2
    }

    /// Matrix products that a tile takes; for `direct`, the taps of one product.
    private static func positions(_ algorithm: Algorithm) -> Int {
        switch algorithm {
        case .winograd4: 36
        case .winograd2: 16
        case .direct: 9
        }
    }

    private func pack(_ weight: UnsafePointer<Float>, pool: WorkerPool) {
        let padded = inputBlocks * channelBlock
        guard algorithm != .direct else {
            return hw_pack_direct3x3(weights.pointer, weight, outputs, inputs, padded)
        }
        let blockFloats = positions * padded * channelBlock
        let tile: Int32 = algorithm == .winograd4 ? 4 : 2
        pool.run { worker in
            let part = WorkerPool.part(worker, of: pool.count, total: outputBlocks)
            switch precision {
            case .f32:
                hw_pack_winograd3x3(
                    weights.pointer + part.lowerBound * blockFloats, weight, outputs, inputs, padded, tile,
                    part.lowerBound, part.count)
            case .bf16:
                let panels = AlignedBuffer(count: blockFloats)
                defer { withExtendedLifetime(panels) {} }
                for block in part {
                    hw_pack_winograd3x3(panels.pointer, weight, outputs, inputs, padded, tile, block, 1)
                    hw_narrow_panels(
                        weights.pointer + block * blockFloats / 2, panels.pointer, blockFloats / channelBlock)
                }
            }
        }
    }

    /// Convolves the first `batch` images.
    /// - Parameters:
    ///   - input: `inputs` channels.
    ///   - normalization: applied while reading; nil reads the map as it is.
    ///   - output: `outputs` channels of `side` pixels; its moments are written too.
    ///   - residual: added to the result; may be `output` itself.
    public func forward(
        _ input: FeatureMap, normalization: Normalization?, into output: FeatureMap, residual: FeatureMap? = nil,
        batch: Int, on workspace: Workspace
    ) {
        forward(
            input, normalization: normalization, into: output, residual: residual, epilogue: .moments, batch: batch,
            on: workspace)
    }

    /// Convolves the first `batch` images, `epilogue` being done with what has just been written.
    func forward(
        _ input: FeatureMap, normalization: Normalization?, into output: FeatureMap, residual: FeatureMap?,
        epilogue: Epilogue, batch: Int, on workspace: Workspace
    ) {
        precondition(input.blocks == inputBlocks && output.blocks == outputBlocks && output.side == side)
        precondition(resampling != .none || input.side == side)
        let division = division(batch: batch, on: workspace.pool)
        var call = Call(
            layer: self, input: input, normalization: normalization, output: output, residual: residual,
            epilogue: epilogue, workspace: workspace, units: batch * output.bands, division: division)
        workspace.run(plan(division), on: &call) { context, worker in
            context.assumingMemoryBound(to: Call.self).pointee.perform(worker)
        }
    }

    private func division(batch: Int, on pool: WorkerPool) -> WorkDivision {
        WorkDivision(
            workers: pool.count, imageParts: pool.imageParts(batch),
            units: batch * FeatureMap.bands(side), blocks: outputBlocks,
            rows: rowsPerBand * productsPerRow, inputs: columns,
            weights: Self.positions(algorithm) * inputBlocks * channelBlock * precision.words,
            source: bandRows * side * inputBlocks * channelBlock * (resampling == .down ? 4 : 1))
    }

    private func plan(_ division: WorkDivision) -> LayerPlan {
        LayerPlan(
            kind: algorithm == .winograd4 ? .winograd4 : algorithm == .winograd2 ? .winograd2 : .direct,
            precision: precision, inputs: inputs, outputs: outputs, side: side,
            multiplyAdds: 9 * inputs * outputs * side * side,
            products: FeatureMap.bands(side) * rowsPerBand * productsPerRow * columns * outputBlocks * channelBlock,
            weightBytes: weights.count * MemoryLayout<Float>.stride, unitParts: division.unitParts,
            blockParts: division.blockParts)
    }

    /// How batches of `batch` images are convolved.
    public func plan(batch: Int, on pool: WorkerPool) -> LayerPlan { plan(division(batch: batch, on: pool)) }

    /// Floats of scratch that a worker needs.
    public var scratchFloats: Int {
        InputReader.scratchFloats(channels: inputBlocks * channelBlock) + Scratch.rounded(stripFloats)
            + (algorithm == .direct ? directScratchFloats : winogradScratchFloats)
    }

    /// One forward call.
    struct Call {
        let layer: Convolution
        let input: FeatureMap
        let normalization: Normalization?
        let output: FeatureMap
        let residual: FeatureMap?
        let epilogue: Epilogue
        let workspace: Workspace
        let units: Int
        let division: WorkDivision

        /// Does a worker's part.
        func perform(_ worker: Int) {
            let part = division.part(of: worker, units: units, blocks: layer.outputBlocks)
            guard !part.units.isEmpty, !part.blocks.isEmpty else { return }
            let scratch = workspace.scratch(of: worker)
            if layer.algorithm == .direct {
                layer.direct(self, units: part.units, blocks: part.blocks, scratch: scratch)
            } else {
                layer.winograd(self, units: part.units, blocks: part.blocks, scratch: scratch)
            }
        }
    }

    /// Rows of one band's matrices: tiles, or pixels if direct.
    var rowsPerBand: Int {
        switch algorithm {
        case .winograd4: (side + 3) / 4
        case .winograd2: 2 * ((side + 1) / 2)
        case .direct: bandRows * side
        }
    }

    private var productsPerRow: Int { algorithm == .direct ? 1 : positions }

    /// Matrix products that a tile takes; for `direct`, the taps of one product.
    var positions: Int { Self.positions(algorithm) }

    /// Columns of the input matrix.
    var columns: Int { inputBlocks * channelBlock * (algorithm == .direct ? 9 : 1) }

    /// Bands worked on together: about 64 tiles, so that a chunk's transformed input stays near the core while the
    /// weights stream past it, and weights are read seldom enough.
    var chunkBands: Int { max(1, (algorithm == .direct ? 96 : 64) / rowsPerBand) }
}
