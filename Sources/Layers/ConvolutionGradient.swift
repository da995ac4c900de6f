import CKernels
public import Tensor

/// A 3x3 convolution's gradients, by its input and by its parameters.
///
/// The gradient by the input is itself a convolution, with weights flipped and transposed, and runs as one; a stride
/// spreads the output's gradient over every second pixel first, an upsampling adds quads of pixels afterwards. The
/// gradient by the weights is a sum over tiles (or, for `direct`, pixels) of products in the domain that the forward pass
/// multiplies in: Aᵀ·B over the same transformed input. It adds up in that domain over any number of batches, and goes
/// back to weights once, in `addGradients`.
public final class ConvolutionGradient {
    /// The convolution.
    public let layer: Convolution
    private let adjoint: Convolution
    /// Where the weights' and, behind them, the bias's gradients add up, laid out as the packed weights: one for each
    /// worker if they share the images, a single one if they share the output channels.
    private let sums: [AlignedBuffer]
    /// Whether nothing has been added up yet, so that what `sums` hold is of the past.
    private var isFresh = true

    /// Most floats of packed weights for which every worker gets sums of its own, which spares each the transforms of
    /// all images; beyond, sums wouldn't stay in the cache.
    private static let largestOwnSums = 1 << 18

    /// Allocates for `layer`, computing in f32; `repack` must follow.
    public init(_ layer: Convolution, pool: WorkerPool) {
        precondition(layer.precision == .f32)
        self.layer = layer
        adjoint = Convolution(
            weight: [Float](repeating: 0, count: layer.inputs * layer.outputs * 9),
            bias: [Float](repeating: 0, count: layer.inputs), inputs: layer.outputs,
            outputs: layer.inputs, side: layer.fullSide, pool: pool)
        let parts = layer.weights.count <= Self.largestOwnSums ? pool.count : 1
        sums = (0..<parts).map { _ in
            AlignedBuffer(count: layer.weights.count + layer.outputBlocks * channelBlock)
        }
    }

    /// Takes new weights, [outputs][inputs][3][3], and bias, for both directions.
    public func repack(weight: UnsafePointer<Float>, bias: UnsafePointer<Float>, pool: WorkerPool) {
        layer.repack(weight: weight, bias: bias, pool: pool)
        let (inputs, outputs) = (layer.inputs, layer.outputs)
        // Not kept: between two steps nobody needs them in this form.
        let flipped = AlignedBuffer(count: inputs * outputs * 9)
        pool.run { worker in
            for i in WorkerPool.part(worker, of: pool.count, total: inputs) {
                for o in 0..<outputs {
                    let (to, from) = ((i * outputs + o) * 9, (o * inputs + i) * 9)
                    for tap in 0..<9 { flipped.pointer[to + 8 - tap] = weight[from + tap] }
                }
            }
        }
        withExtendedLifetime(flipped) { adjoint.repack(weight: flipped.pointer, bias: nil, pool: pool) }
    }

    /// Channels and side of the map that `inputGradient` needs for itself; nil if it needs none.
    public var temporary: (channels: Int, side: Int)? {
        switch layer.resampling {
        case .none: nil
        case .down: (layer.outputs, layer.fullSide)
        case .up: (layer.inputs, layer.fullSide)
        }
    }

    /// Bands worked on together. Sums that the cache doesn't hold are read and written once a chunk, so there chunks are
    /// longer, although their transforms then don't stay near the core.
    private var chunkBands: Int {
        let own = layer.weights.count <= Self.largestOwnSums
        return layer.algorithm == .direct || own ? layer.chunkBands : max(1, 256 / layer.rowsPerBand)
    }

    private var stripFloats: Int {
        layer.stripRows(bands: min(chunkBands, FeatureMap.bands(layer.side))) * layer.stripWidth * channelBlock
    }

    /// Floats of scratch that a worker needs.
    public var scratchFloats: Int {
        let reading =
            InputReader.scratchFloats(channels: layer.inputBlocks * channelBlock)
            + Scratch.rounded(stripFloats)
        let tiles = chunkBands * layer.rowsPerBand
        let products =
            layer.algorithm == .direct
            ? layer.directScratchFloats
            : layer.positions * tiles * (layer.inputBlocks + layer.outputBlocks) * channelBlock
        return max(adjoint.scratchFloats, reading + products)
    }

    /// Computes the gradient by the input.
    /// - Parameters:
    ///   - outputGradient: by the output of the first `batch` images.
    ///   - result: receives it.
    ///   - adds: whether it is added to what is there.
    ///   - normalization: the place where the input was normalised while it was read, with the map that was and the film
    ///     that was applied: the result is then the gradient before `NormalizationGradient.finish`.
    ///   - temporary: memory for a map as `temporary` says.
    public func inputGradient(
        _ outputGradient: FeatureMap, into result: FeatureMap, adds: Bool = false,
        normalization: (gradient: NormalizationGradient, input: FeatureMap, film: Normalization.Film?)? = nil,
        temporary: FeatureMap? = nil, batch: Int, on workspace: Workspace
    ) {
        let epilogue =
            normalization.map {
                Epilogue.activationGradient(
                    $0.gradient.activation(of: $0.input, film: $0.film, batch: batch, on: workspace))
            } ?? .none
        func convolve(_ source: FeatureMap, into target: FeatureMap) {
            adjoint.forward(
                source, normalization: nil, into: target, residual: adds ? target : nil, epilogue: epilogue,
                batch: batch, on: workspace)
        }
        switch layer.resampling {
        case .none:
            convolve(outputGradient, into: result)
        case .down:
            spread(outputGradient, over: temporary!, batch: batch, on: workspace.pool)
            convolve(temporary!, into: result)
        case .up:
            precondition(normalization == nil && !adds)
            convolve(outputGradient, into: temporary!)
            fold(temporary!, into: result, batch: batch, on: workspace.pool)
        }
    }

    private func spread(_ source: FeatureMap, over target: FeatureMap, batch: Int, on pool: WorkerPool) {
        let row = target.side * channelBlock
        pool.run { worker in
            for unit in WorkerPool.part(worker, of: pool.count, total: batch * source.blocks) {
                let (n, block) = (unit / source.blocks, unit % source.blocks)
                let plane = target.image(n) + block * target.blockStride
                plane.update(repeating: 0, count: target.blockStride)
                for y in 0..<source.side {
                    hw_spread_pixels(
                        plane + 2 * y * row,
                        source.image(n) + block * source.blockStride + y * source.side * channelBlock, source.side,
                        target.side)
                }
            }
        }
    }

    private func fold(_ source: FeatureMap, into target: FeatureMap, batch: Int, on pool: WorkerPool) {
        let row = source.side * channelBlock
        pool.run { worker in
            for unit in WorkerPool.part(worker, of: pool.count, total: batch * target.blocks) {
                let (n, block) = (unit / target.blocks, unit % target.blocks)
                let plane = target.image(n) + block * target.blockStride
                plane.update(repeating: 0, count: target.blockStride)
                for y in 0..<target.side {
                    let upper = source.image(n) + block * source.blockStride + 2 * y * row
                    hw_fold_doubled(plane + y * target.side * channelBlock, upper, upper + row, target.side)
                }
            }
        }
    }

    /// Adds up the gradients by weights and bias of the first `batch` images.
    /// - Parameters:
    ///   - input: what the layer read, through `normalization`.
    ///   - outputGradient: by the layer's output.
    public func accumulate(
        _ input: FeatureMap, normalization: Normalization?, outputGradient: FeatureMap, batch: Int,
        on workspace: Workspace
    ) {
        let units = batch * outputGradient.bands
        let call = Convolution.Call(
            layer: layer, input: input, normalization: normalization, output: outputGradient, residual: nil,
            epilogue: .none, workspace: workspace, units: units,
            division: WorkDivision(unitParts: sums.count, blockParts: workspace.pool.count / sums.count))
        let starts = isFresh
        isFresh = false
        workspace.pool.run { [self] worker in
            let part = call.division.part(of: worker, units: units, blocks: layer.outputBlocks)
            let own = sums[sums.count > 1 ? worker : 0]
            guard !part.units.isEmpty, !part.blocks.isEmpty else {
                // Sums of one's own without images are zero.
                if starts && sums.count > 1 { own.pointer.update(repeating: 0, count: own.count) }
                return
            }
            let sums = own.pointer
            if starts {
                (sums + layer.weights.count + part.blocks.lowerBound * channelBlock).update(
                    repeating: 0, count: part.blocks.count * channelBlock)
            }
            if layer.algorithm == .direct {
                accumulateDirect(
                    call, units: part.units, blocks: part.blocks, worker: worker, sums: sums, starts: starts)
            } else {
                accumulateWinograd(
                    call, units: part.units, blocks: part.blocks, worker: worker, sums: sums, starts: starts)
            }
        }
    }

    /// Adds the gradients that have come together to `weight`, [outputs][inputs][3][3], and `bias`, and starts anew.
    public func addGradients(
        weight: UnsafeMutablePointer<Float>, bias: UnsafeMutablePointer<Float>, pool: WorkerPool
    ) {
        guard !isFresh else { return }
        isFresh = true
        let total = sums[0]
        for other in sums.dropFirst() { hw_axpy(total.pointer, other.pointer, 1, total.count) }
        let padded = layer.inputBlocks * channelBlock
        if layer.algorithm == .direct {
            hw_add_direct3x3(weight, total.pointer, layer.outputs, layer.inputs, padded)
        } else {
            let tile: Int32 = layer.isLarge ? 4 : 2
            pool.run { [layer] worker in
                let part = WorkerPool.part(worker, of: pool.count, total: layer.outputBlocks)
                hw_add_winograd3x3(
                    weight, total.pointer + part.lowerBound * layer.positions * padded * channelBlock, layer.outputs,
                    layer.inputs, padded, tile, part.lowerBound, part.count)
            }
        }
        hw_axpy(bias, total.pointer + layer.weights.count, 1, layer.outputs)
    }
}

extension ConvolutionGradient {
    /// Sums over the tiles, position by position.
    private func accumulateWinograd(
        _ call: Convolution.Call, units: Range<Int>, blocks: Range<Int>, worker: Int, sums: UnsafeMutablePointer<Float>,
        starts: Bool
    ) {
        var scratch = call.workspace.scratch(of: worker)
        let kernels = call.workspace.kernels
        let reader = InputReader(
            kernels: kernels, channels: layer.inputBlocks * channelBlock, normalization: call.normalization,
            scratch: &scratch)
        let strip = scratch.take(stripFloats)
        let panel = layer.inputBlocks * channelBlock * channelBlock
        var start = units.lowerBound
        while start < units.upperBound {
            let end = min(start + chunkBands, units.upperBound)
            let tiles = (end - start) * layer.rowsPerBand
            // One row group: all tiles of a block lie side by side.
            let chunk = Convolution.Chunk(
                units: start..<end, tilesPerBand: layer.rowsPerBand, inputs: layer.inputBlocks * channelBlock,
                groups: 1)
            var memory = scratch
            let v = memory.take(layer.positions * chunk.positionStride)
            let plane = tiles * channelBlock
            let products = memory.take(layer.positions * plane * blocks.count)
            layer.transformInput(call, chunk, reader: reader, strip: strip, v: v)
            spreadOutput(call, chunk, blocks: blocks, products: products, sums: sums + layer.weights.count)
            for position in 0..<layer.positions {
                kernels.gemmTransposed(
                    hw_gemm_transposed_arguments(
                        a: v + position * chunk.positionStride, a_block_stride: plane,
                        b: products + position * plane * blocks.count, b_block_stride: plane,
                        c: sums + (blocks.lowerBound * layer.positions + position) * panel,
                        c_block_stride: layer.positions * panel, k: tiles, rows: layer.inputBlocks * channelBlock,
                        blocks: blocks.count, accumulates: !starts || start > units.lowerBound))
            }
            start = end
        }
    }

    /// The output's gradient by products: position p of block b at `products + (p·blocks + b)·tiles·16`. Adds up the
    /// bias's gradient on the way.
    private func spreadOutput(
        _ call: Convolution.Call, _ chunk: Convolution.Chunk, blocks: Range<Int>,
        products: UnsafeMutablePointer<Float>, sums: UnsafeMutablePointer<Float>
    ) {
        let table = call.workspace.kernels.table
        let spread = layer.isLarge ? table.pointee.winograd4_spread! : table.pointee.winograd2_spread!
        let tileRows = layer.isLarge ? 4 : 2
        let rowTiles = layer.isLarge ? layer.rowsPerBand : layer.rowsPerBand / 2
        let plane = chunk.tiles * channelBlock
        let gradient = call.output
        for unit in chunk.units {
            let (image, band) = (unit / gradient.bands, unit % gradient.bands)
            let rows = gradient.rows(ofBand: band)
            for block in blocks {
                let source =
                    gradient.image(image) + block * gradient.blockStride + band * bandRows * layer.side * channelBlock
                hw_add_columns(sums + block * channelBlock, source, rows * layer.side)
                var target =
                    products + (block - blocks.lowerBound) * plane
                    + (unit - chunk.units.lowerBound) * layer.rowsPerBand * channelBlock
                for row in stride(from: 0, to: bandRows, by: tileRows) {
                    // A band below the image's edge has tiles too; their gradient is zero.
                    var arguments = hw_winograd_spread_arguments(
                        products: target, position_stride: plane * blocks.count,
                        source: source + row * layer.side * channelBlock, width: layer.side,
                        rows: max(0, min(tileRows, rows - row)))
                    spread(&arguments)
                    target += rowTiles * channelBlock
                }
            }
        }
    }

    /// Sums over the pixels: the transposed input matrix times the output's gradient.
    private func accumulateDirect(
        _ call: Convolution.Call, units: Range<Int>, blocks: Range<Int>, worker: Int, sums: UnsafeMutablePointer<Float>,
        starts: Bool
    ) {
        var scratch = call.workspace.scratch(of: worker)
        let kernels = call.workspace.kernels
        let reader = InputReader(
            kernels: kernels, channels: layer.inputBlocks * channelBlock, normalization: call.normalization,
            scratch: &scratch)
        let strip = scratch.take(stripFloats)
        let matrix = scratch.take(layer.directScratchFloats)
        let gradient = call.output
        let panel = layer.columns * channelBlock
        var unit = units.lowerBound
        while unit < units.upperBound {
            let segment = Segment(
                at: unit, before: min(unit + layer.stripBands, units.upperBound), bandsPerImage: gradient.bands)
            layer.gather(call, segment, reader: reader, strip: strip, matrix: matrix)
            let count = layer.pixels(segment)
            let source =
                gradient.image(segment.image) + segment.bands.lowerBound * bandRows * layer.side * channelBlock
                + blocks.lowerBound * gradient.blockStride
            kernels.gemmTransposed(
                hw_gemm_transposed_arguments(
                    a: matrix, a_block_stride: count * channelBlock, b: source, b_block_stride: gradient.blockStride,
                    c: sums + blocks.lowerBound * panel, c_block_stride: panel, k: count, rows: layer.columns,
                    blocks: blocks.count, accumulates: !starts || unit > units.lowerBound))
            for block in blocks {
                hw_add_columns(
                    sums + layer.weights.count + block * channelBlock,
                    source + (block - blocks.lowerBound) * gradient.blockStride, count)
            }
            unit += segment.bands.count
        }
    }
}

extension Convolution {
    /// The side at which the 3x3 windows lie: the input's where a stride follows, the output's otherwise.
    var fullSide: Int { resampling == .down ? inputSide : side }
}
