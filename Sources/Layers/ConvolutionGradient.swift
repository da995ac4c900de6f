import CKernels
public import Tensor

/// A 3x3 convolution's gradients, by its input and by its parameters.
///
/// The gradient with respect to the input is itself a convolution, with weights flipped and transposed, and runs as one; a stride
/// spreads the output's gradient over every second pixel first, an upsampling adds quads of pixels afterwards. The gradient with
/// respect to the weights is a sum over tiles (or, for `direct`, pixels) of products in the domain that the forward pass
/// multiplies in: Aᵀ·B over the same transformed input. It adds up in that domain over any number of batches, and goes back to
/// weights once, in `addGradients`.
public final class ConvolutionGradient: ConvolutionLayerGradient {
    /// The convolution.
    public let layer: Convolution
    private let adjoint: Convolution
    private var shape: ConvolutionShape { layer.shape }
    /// Where the weights' and, behind them, the bias's gradients add up, laid out as the packed weights: one for each
    /// worker if they divide the images, a single one if they divide the output channels.
    private let sums: [AlignedBuffer]
    /// Whether nothing has been added yet, so that `sums` still hold old values.
    private var isFresh = true

    /// Most floats of packed weights for which every worker gets sums of its own, which spares each the transforms of
    /// all images; beyond, sums wouldn't stay in the cache.
    private static let largestOwnSums = 1 << 18

    /// Allocates for a convolution in f32 whose weights are zero; `repack` must follow.
    ///
    /// - Parameter sums: how the workers divide the gradient with respect to the weights.
    public init(_ shape: ConvolutionShape, sums division: GradientSums = .fastest, pool: WorkerPool) {
        precondition(shape.precision == .f32)
        layer = Convolution(zeros: shape)
        adjoint = Convolution(
            zeros: ConvolutionShape(inputs: shape.outputs, outputs: shape.inputs, side: shape.fullSide))
        let parts = division == .fastest && shape.weightFloats <= Self.largestOwnSums ? pool.count : 1
        sums = (0..<parts).map { _ in
            AlignedBuffer(count: shape.weightFloats + shape.outputBlocks * channelBlock)
        }
    }

    package func repack(weight: UnsafePointer<Float>, bias: UnsafePointer<Float>, pool: WorkerPool) {
        layer.repack(weight: weight, bias: bias, pool: pool)
        let (inputs, outputs) = (shape.inputs, shape.outputs)
        // Freed at once: no step needs them in this form.
        let flipped = AlignedBuffer(count: inputs * outputs * 9)
        pool.forEach(inputs) { i in
            for o in 0..<outputs {
                let (to, from) = ((i * outputs + o) * 9, (o * inputs + i) * 9)
                for tap in 0..<9 { flipped.pointer[to + 8 - tap] = weight[from + tap] }
            }
        }
        withExtendedLifetime(flipped) { adjoint.repack(weight: flipped.pointer, bias: nil, pool: pool) }
    }

    /// Bands worked on together. Sums that the cache doesn't hold are read and written once a chunk, so there chunks are
    /// longer, although their transforms then don't stay near the core.
    private var chunkBands: Int {
        let own = shape.weightFloats <= Self.largestOwnSums
        return shape.algorithm == .direct || own ? shape.chunkBands : max(1, 256 / shape.rowsPerBand)
    }

    private var stripFloats: Int {
        shape.stripRows(bands: min(chunkBands, FeatureMap.bands(shape.side))) * shape.stripWidth * channelBlock
    }

    package var scratchFloats: Int {
        let reading =
            InputReader.scratchFloats(channels: shape.inputBlocks * channelBlock) + Scratch.rounded(stripFloats)
        let tiles = chunkBands * shape.rowsPerBand
        let products =
            shape.algorithm == .direct
            ? shape.directScratchFloats
            : shape.positions * tiles * (shape.inputBlocks + shape.outputBlocks) * channelBlock
        return max(shape.scratchFloats, adjoint.shape.scratchFloats, reading + products)
    }

    package func inputGradient(
        _ outputGradient: FeatureMap, into result: FeatureMap, addend: FeatureMap?,
        through transform: InputTransformGradient.Call?, temporary: FeatureMap?, batch: Int, on workspace: Workspace
    ) {
        func convolve(_ source: FeatureMap, into target: FeatureMap, addend: FeatureMap?) {
            adjoint.forward(
                source, transform: nil, into: target, residual: addend,
                epilogue: transform.epilogue(batch: batch, on: workspace), batch: batch, on: workspace)
        }
        switch shape.resampling {
        case .none:
            convolve(outputGradient, into: result, addend: addend)
        case .down:
            spread(outputGradient, over: temporary!, batch: batch, on: workspace.pool)
            convolve(temporary!, into: result, addend: addend)
        case .up:
            precondition(transform == nil)
            convolve(outputGradient, into: temporary!, addend: nil)
            fold(temporary!, into: result, addend: addend, batch: batch, on: workspace.pool)
        }
    }

    private func spread(_ source: FeatureMap, over target: FeatureMap, batch: Int, on pool: WorkerPool) {
        let row = target.side * channelBlock
        // The adjoint pads on every side, so without a row above and a column on the left windows lie a pixel further on.
        let shift = 1 - shape.leadingPadding
        target.forEachPlane(ofFirst: batch, on: pool) { n, block, plane in
            plane.update(repeating: 0, count: target.blockStride)
            for y in 0..<source.side {
                hw_spread_pixels(
                    plane + (2 * y + shift) * row + shift * channelBlock,
                    source.plane(n, block) + y * source.side * channelBlock, source.side, target.side - shift)
            }
        }
    }

    private func fold(
        _ source: FeatureMap, into target: FeatureMap, addend: FeatureMap?, batch: Int, on pool: WorkerPool
    ) {
        let row = source.side * channelBlock
        target.forEachPlane(ofFirst: batch, on: pool) { n, block, plane in
            if let addend {
                let source = addend.plane(n, block)
                if source != plane { plane.update(from: source, count: target.blockStride) }
            } else {
                plane.update(repeating: 0, count: target.blockStride)
            }
            for y in 0..<target.side {
                let upper = source.plane(n, block) + 2 * y * row
                hw_fold_doubled(plane + y * target.side * channelBlock, upper, upper + row, target.side)
            }
        }
    }

    package func accumulate(
        _ input: FeatureMap, transform: InputTransform?, outputGradient: FeatureMap, batch: Int,
        on workspace: Workspace
    ) {
        let units = batch * outputGradient.bands
        let call = ConvolutionCall(
            layer: layer, input: input, transform: transform, output: outputGradient, residual: nil,
            epilogue: .none, workspace: workspace, units: units,
            division: WorkDivision(unitParts: sums.count, blockParts: workspace.pool.count / sums.count))
        let starts = isFresh
        isFresh = false
        workspace.pool.run { [self] worker in
            let part = call.division.part(of: worker, units: units, blocks: shape.outputBlocks)
            let own = sums[sums.count > 1 ? worker : 0]
            guard !part.units.isEmpty, !part.blocks.isEmpty else {
                // A worker's own sums without images are zero.
                if starts && sums.count > 1 { own.pointer.update(repeating: 0, count: own.count) }
                return
            }
            let sums = own.pointer
            if starts {
                (sums + shape.weightFloats + part.blocks.lowerBound * channelBlock).update(
                    repeating: 0, count: part.blocks.count * channelBlock)
            }
            let add = shape.algorithm == .direct ? accumulateDirect : accumulateWinograd
            add(call, part.units, part.blocks, workspace.scratch(of: worker), sums, starts)
        }
    }

    package func addGradients(
        weight: UnsafeMutablePointer<Float>, bias: UnsafeMutablePointer<Float>, pool: WorkerPool
    ) {
        guard !isFresh else { return }
        isFresh = true
        let total = sums[0]
        for other in sums.dropFirst() { hw_axpy(total.pointer, other.pointer, 1, total.count) }
        let padded = shape.inputBlocks * channelBlock
        if shape.algorithm == .direct {
            hw_add_direct3x3(weight, total.pointer, shape.outputs, shape.inputs, padded)
        } else {
            let tile: Int32 = shape.isLarge ? 4 : 2
            pool.run { [shape] worker in
                let part = WorkerPool.part(worker, of: pool.count, total: shape.outputBlocks)
                hw_add_winograd3x3(
                    weight, total.pointer + part.lowerBound * shape.positions * padded * channelBlock,
                    shape.outputs, shape.inputs, padded, tile, part.lowerBound, part.count)
            }
        }
        hw_axpy(bias, total.pointer + shape.weightFloats, 1, shape.outputs)
    }
}

extension ConvolutionGradient {
    /// Sums over the tiles, position by position.
    private func accumulateWinograd(
        _ call: ConvolutionCall, units: Range<Int>, blocks: Range<Int>, scratch: Scratch,
        sums: UnsafeMutablePointer<Float>, starts: Bool
    ) {
        var scratch = scratch
        let kernels = call.workspace.kernels
        let reader = InputReader(call, scratch: &scratch)
        let strip = scratch.take(stripFloats)
        let panel = shape.inputBlocks * channelBlock * channelBlock
        for start in stride(from: units.lowerBound, to: units.upperBound, by: chunkBands) {
            let end = min(start + chunkBands, units.upperBound)
            let tiles = (end - start) * shape.rowsPerBand
            // One row group: all tiles of a block lie side by side.
            let chunk = Convolution.Chunk(
                units: start..<end, tilesPerBand: shape.rowsPerBand, inputs: shape.inputBlocks * channelBlock,
                groups: 1)
            var memory = scratch
            let v = memory.take(shape.positions * chunk.positionStride)
            let plane = tiles * channelBlock
            let products = memory.take(shape.positions * plane * blocks.count)
            layer.transformInput(call, chunk, reader: reader, strip: strip, v: v)
            spreadOutput(call, chunk, blocks: blocks, products: products, sums: sums + shape.weightFloats)
            for position in 0..<shape.positions {
                kernels.gemmTransposed(
                    hw_gemm_transposed_arguments(
                        a: v + position * chunk.positionStride, a_block_stride: plane,
                        b: products + position * plane * blocks.count, b_block_stride: plane,
                        c: sums + (blocks.lowerBound * shape.positions + position) * panel,
                        c_block_stride: shape.positions * panel, k: tiles, rows: shape.inputBlocks * channelBlock,
                        blocks: blocks.count, accumulates: !starts || start > units.lowerBound))
            }
        }
    }

    /// The output's gradient by products: position p of block b at `products + (p·blocks + b)·tiles·16`. Adds up the
    /// bias's gradient on the way.
    private func spreadOutput(
        _ call: ConvolutionCall, _ chunk: Convolution.Chunk, blocks: Range<Int>,
        products: UnsafeMutablePointer<Float>, sums: UnsafeMutablePointer<Float>
    ) {
        let table = call.workspace.kernels.table
        let spread = shape.isLarge ? table.pointee.winograd4_spread! : table.pointee.winograd2_spread!
        let tileRows = shape.isLarge ? 4 : 2
        let rowTiles = shape.isLarge ? shape.rowsPerBand : shape.rowsPerBand / 2
        let plane = chunk.tiles * channelBlock
        let gradient = call.output
        for unit in chunk.units {
            let (image, band) = (unit / gradient.bands, unit % gradient.bands)
            let rows = gradient.rows(ofBand: band)
            for block in blocks {
                let source =
                    gradient.image(image) + block * gradient.blockStride + band * bandRows * shape.side * channelBlock
                hw_add_columns(sums + block * channelBlock, source, rows * shape.side)
                var target =
                    products + (block - blocks.lowerBound) * plane
                    + (unit - chunk.units.lowerBound) * shape.rowsPerBand * channelBlock
                for row in stride(from: 0, to: bandRows, by: tileRows) {
                    // A band below the image's edge has tiles too; their gradient is zero.
                    var arguments = hw_winograd_spread_arguments(
                        products: target, position_stride: plane * blocks.count,
                        source: source + row * shape.side * channelBlock, width: shape.side,
                        rows: max(0, min(tileRows, rows - row)))
                    spread(&arguments)
                    target += rowTiles * channelBlock
                }
            }
        }
    }

    /// Sums over the pixels: the transposed input matrix times the output's gradient.
    private func accumulateDirect(
        _ call: ConvolutionCall, units: Range<Int>, blocks: Range<Int>, scratch: Scratch,
        sums: UnsafeMutablePointer<Float>, starts: Bool
    ) {
        var scratch = scratch
        let kernels = call.workspace.kernels
        let reader = InputReader(call, scratch: &scratch)
        let strip = scratch.take(stripFloats)
        let matrix = scratch.take(shape.directScratchFloats)
        let gradient = call.output
        let panel = shape.columns * channelBlock
        for segment in Segments(units, bands: shape.stripBands, bandsPerImage: gradient.bands) {
            layer.gather(call, segment, reader: reader, strip: strip, matrix: matrix)
            let count = shape.pixels(segment)
            let source =
                gradient.image(segment.image) + segment.bands.lowerBound * bandRows * shape.side * channelBlock
                + blocks.lowerBound * gradient.blockStride
            kernels.gemmTransposed(
                hw_gemm_transposed_arguments(
                    a: matrix, a_block_stride: count * channelBlock, b: source, b_block_stride: gradient.blockStride,
                    c: sums + blocks.lowerBound * panel, c_block_stride: panel, k: count, rows: shape.columns,
                    blocks: blocks.count, accumulates: !starts || segment.unit > units.lowerBound))
            for block in blocks {
                hw_add_columns(
                    sums + shape.weightFloats + block * channelBlock,
                    source + (block - blocks.lowerBound) * gradient.blockStride, count)
            }
        }
    }
}
