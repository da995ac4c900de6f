import CKernels
import Tensor

extension Convolution {
    var isLarge: Bool { algorithm == .winograd4 }

    /// Output blocks multiplied before their tiles are transformed back: the products of a group stay in the cache.
    static var blockGroup: Int { 4 }

    var winogradScratchFloats: Int {
        let tiles = chunkBands * rowsPerBand
        // Row groups are rounded up: at most one tile a group is unused.
        let padded = tiles + tiles / 4 + channelBlock
        return positions * padded * inputBlocks * precision.words + positions * tiles * Self.blockGroup * channelBlock
            + 2 * channelBlock
    }

    /// A chunk of tiles and where its transformed input lies: position p at `v + p·positionStride`, in row groups of the
    /// micro-kernel's height, each [inputBlocks][groupRows][16], or pairs of bf16 [8], so that the product reads memory
    /// in order.
    struct Chunk {
        let units: Range<Int>
        let tiles: Int
        let groupRows: Int
        let groupStride: Int
        let positionStride: Int

        /// In `groups` row groups of about the same size.
        init(units: Range<Int>, tilesPerBand: Int, inputs: Int, groups: Int) {
            self.units = units
            tiles = units.count * tilesPerBand
            groupRows = (tiles + groups - 1) / groups
            groupStride = groupRows * inputs
            positionStride = groups * groupStride
        }
    }

    /// Transforms, multiplies and transforms back one chunk of tiles after another.
    func winograd(_ call: Call, units: Range<Int>, blocks: Range<Int>, scratch: Scratch) {
        var scratch = scratch
        let kernels = call.workspace.kernels
        let reader = InputReader(
            kernels: kernels, channels: inputBlocks * channelBlock, normalization: call.normalization,
            scratch: &scratch)
        let strip = scratch.take(stripFloats)
        var start = units.lowerBound
        while start < units.upperBound {
            let end = min(start + chunkBands, units.upperBound)
            let chunk = Chunk(
                units: start..<end, tilesPerBand: rowsPerBand, inputs: inputBlocks * precision.words,
                groups: kernels.rowGroups((end - start) * rowsPerBand, in: precision))
            var memory = scratch
            let v = memory.take(positions * chunk.positionStride)
            let products = memory.take(positions * chunk.tiles * Self.blockGroup * channelBlock)
            transformInput(call, chunk, reader: reader, strip: strip, v: v)
            var block = blocks.lowerBound
            while block < blocks.upperBound {
                let group = block..<min(block + Self.blockGroup, blocks.upperBound)
                multiply(chunk, kernels: kernels, v: v, blocks: group, products: products)
                transformOutput(call, chunk, blocks: group, products: products)
                block = group.upperBound
            }
            start = chunk.units.upperBound
        }
    }

    func transformInput(
        _ call: Call, _ chunk: Chunk, reader: InputReader, strip: UnsafeMutablePointer<Float>,
        v: UnsafeMutablePointer<Float>
    ) {
        let table = call.workspace.kernels.table
        let transform =
            isLarge
            ? table.pointee.winograd4_input!
            : precision == .f32 ? table.pointee.winograd2_input! : table.pointee.winograd2_input_bf16!
        let rowTiles = isLarge ? rowsPerBand : rowsPerBand / 2
        let rowStride = stripWidth * channelBlock
        var unit = chunk.units.lowerBound
        while unit < chunk.units.upperBound {
            let segment = Segment(at: unit, before: chunk.units.upperBound, bandsPerImage: call.output.bands)
            let firstTile = (unit - chunk.units.lowerBound) * rowsPerBand
            reader.prepare(call.normalization, for: call.input, image: segment.image)
            clear(strip, bands: segment.bands.count)
            for block in 0..<inputBlocks {
                fill(strip, call, segment, block: block, reader: reader)
                let destination = v + block * chunk.groupRows * precision.words
                for row in 0..<(segment.bands.count * (isLarge ? 1 : 2)) {
                    transform(
                        destination, chunk.positionStride, chunk.groupRows, chunk.groupStride,
                        firstTile + row * rowTiles, strip + row * (isLarge ? 4 : 2) * rowStride, rowStride, rowTiles)
                }
            }
            unit += segment.bands.count
        }
    }

    private func multiply(
        _ chunk: Chunk, kernels: Kernels, v: UnsafeMutablePointer<Float>, blocks: Range<Int>,
        products: UnsafeMutablePointer<Float>
    ) {
        let panel = inputBlocks * channelBlock * precision.words
        let plane = chunk.tiles * channelBlock
        for position in 0..<positions {
            kernels.gemm(
                hw_gemm_arguments(
                    a: v + position * chunk.positionStride, a_block_stride: chunk.groupRows * precision.words,
                    a_group_stride: chunk.groupStride, group_rows: chunk.groupRows,
                    b: weights.pointer + (blocks.lowerBound * positions + position) * panel,
                    b_panel_stride: positions * panel, c: products + position * plane,
                    c_block_stride: positions * plane, rows: chunk.tiles, k: inputBlocks * channelBlock,
                    blocks: blocks.count, bias: nil, residual: nil, residual_block_stride: 0),
                in: precision)
        }
    }

    private func transformOutput(
        _ call: Call, _ chunk: Chunk, blocks: Range<Int>, products: UnsafeMutablePointer<Float>
    ) {
        let plane = chunk.tiles * channelBlock
        for block in blocks {
            let source = products + (block - blocks.lowerBound) * positions * plane
            var unit = chunk.units.lowerBound
            while unit < chunk.units.upperBound {
                let segment = Segment(at: unit, before: chunk.units.upperBound, bandsPerImage: call.output.bands)
                for band in segment.bands {
                    let tile = (unit - chunk.units.lowerBound + band - segment.bands.lowerBound) * rowsPerBand
                    store(
                        call, image: segment.image, block: block, band: band, source: source + tile * channelBlock,
                        plane: plane)
                }
                segment.finish(call.output, block: block, call.epilogue, kernels: call.workspace.kernels)
                unit += segment.bands.count
            }
        }
    }

    /// One band of one output block: a row of F(4x4) tiles or two of F(2x2).
    private func store(
        _ call: Call, image: Int, block: Int, band: Int, source: UnsafePointer<Float>, plane: Int
    ) {
        let table = call.workspace.kernels.table
        let tileRows = isLarge ? 4 : 2
        var row = band * bandRows
        var source = source
        let end = min(row + bandRows, side)
        while row < end {
            let offset = block * call.output.blockStride + row * side * channelBlock
            var arguments = hw_winograd_output_arguments(
                destination: call.output.image(image) + offset, products: source, position_stride: plane, width: side,
                rows: min(tileRows, end - row), bias: bias.pointer + block * channelBlock,
                residual: call.residual.map { UnsafePointer($0.image(image) + offset) })
            if isLarge {
                table.pointee.winograd4_output(&arguments)
            } else {
                table.pointee.winograd2_output(&arguments)
            }
            row += tileRows
            source += (side + 1) / 2 * channelBlock
        }
    }
}
