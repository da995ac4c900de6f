import CKernels
import Tensor

extension Convolution {
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
    func winograd(_ call: ConvolutionCall, units: Range<Int>, blocks: Range<Int>, scratch: Scratch) {
        var scratch = scratch
        let kernels = call.workspace.kernels
        let reader = InputReader(call, scratch: &scratch)
        let strip = scratch.take(shape.stripFloats)
        for start in stride(from: units.lowerBound, to: units.upperBound, by: shape.chunkBands) {
            let end = min(start + shape.chunkBands, units.upperBound)
            let chunk = Chunk(
                units: start..<end, tilesPerBand: shape.rowsPerBand, inputs: shape.inputBlocks * shape.precision.words,
                groups: kernels.rowGroups((end - start) * shape.rowsPerBand, in: shape.precision))
            var memory = scratch
            let v = memory.take(shape.positions * chunk.positionStride)
            let products = memory.take(shape.positions * chunk.tiles * ConvolutionShape.blockGroup * channelBlock)
            transformInput(call, chunk, reader: reader, strip: strip, v: v)
            for block in stride(from: blocks.lowerBound, to: blocks.upperBound, by: ConvolutionShape.blockGroup) {
                let group = block..<min(block + ConvolutionShape.blockGroup, blocks.upperBound)
                multiply(chunk, kernels: kernels, v: v, blocks: group, products: products)
                transformOutput(call, chunk, blocks: group, products: products)
            }
        }
    }

    func transformInput(
        _ call: ConvolutionCall, _ chunk: Chunk, reader: InputReader, strip: UnsafeMutablePointer<Float>,
        v: UnsafeMutablePointer<Float>
    ) {
        let table = call.workspace.kernels.table
        let transform =
            shape.isLarge
            ? table.pointee.winograd4_input!
            : shape.precision == .f32 ? table.pointee.winograd2_input! : table.pointee.winograd2_input_bf16!
        let rowTiles = shape.isLarge ? shape.rowsPerBand : shape.rowsPerBand / 2
        let rowStride = shape.stripWidth * channelBlock
        for segment in Segments(chunk.units, bandsPerImage: call.output.bands) {
            let firstTile = (segment.unit - chunk.units.lowerBound) * shape.rowsPerBand
            reader.prepare(call.transform, for: call.input, image: segment.image)
            clear(strip, bands: segment.bands.count)
            for block in 0..<shape.inputBlocks {
                fill(strip, call, segment, block: block, reader: reader)
                let destination = v + block * chunk.groupRows * shape.precision.words
                for row in 0..<(segment.bands.count * (shape.isLarge ? 1 : 2)) {
                    transform(
                        destination, chunk.positionStride, chunk.groupRows, chunk.groupStride,
                        firstTile + row * rowTiles, strip + row * (shape.isLarge ? 4 : 2) * rowStride, rowStride,
                        rowTiles)
                }
            }
        }
    }

    private func multiply(
        _ chunk: Chunk, kernels: Kernels, v: UnsafeMutablePointer<Float>, blocks: Range<Int>,
        products: UnsafeMutablePointer<Float>
    ) {
        let panel = shape.inputBlocks * channelBlock * shape.precision.words
        let plane = chunk.tiles * channelBlock
        for position in 0..<shape.positions {
            kernels.gemm(
                hw_gemm_arguments(
                    a: v + position * chunk.positionStride, a_block_stride: chunk.groupRows * shape.precision.words,
                    a_group_stride: chunk.groupStride, group_rows: chunk.groupRows,
                    b: weights.pointer + (blocks.lowerBound * shape.positions + position) * panel,
                    b_panel_stride: shape.positions * panel, c: products + position * plane,
                    c_block_stride: shape.positions * plane, rows: chunk.tiles, k: shape.inputBlocks * channelBlock,
                    blocks: blocks.count, bias: nil, residual: nil, residual_block_stride: 0),
                in: shape.precision)
        }
    }

    private func transformOutput(
        _ call: ConvolutionCall, _ chunk: Chunk, blocks: Range<Int>, products: UnsafeMutablePointer<Float>
    ) {
        let plane = chunk.tiles * channelBlock
        for block in blocks {
            let source = products + (block - blocks.lowerBound) * shape.positions * plane
            for segment in Segments(chunk.units, bandsPerImage: call.output.bands) {
                for band in segment.bands {
                    let unit = segment.unit - chunk.units.lowerBound + band - segment.bands.lowerBound
                    let tile = unit * shape.rowsPerBand
                    store(
                        call, image: segment.image, block: block, band: band, source: source + tile * channelBlock,
                        plane: plane)
                }
                segment.finish(call.output, block: block, call.epilogue, kernels: call.workspace.kernels)
            }
        }
    }

    /// One band of one output block: a row of F(4x4) tiles or two of F(2x2).
    private func store(
        _ call: ConvolutionCall, image: Int, block: Int, band: Int, source: UnsafePointer<Float>, plane: Int
    ) {
        let table = call.workspace.kernels.table
        let tileRows = shape.isLarge ? 4 : 2
        var row = band * bandRows
        var source = source
        let end = min(row + bandRows, shape.side)
        while row < end {
            let offset = block * call.output.blockStride + row * shape.side * channelBlock
            var arguments = hw_winograd_output_arguments(
                destination: call.output.image(image) + offset, products: source, position_stride: plane,
                width: shape.side,
                rows: min(tileRows, end - row), bias: bias.pointer + block * channelBlock,
                residual: call.residual.map { UnsafePointer($0.image(image) + offset) })
            if shape.isLarge {
                table.pointee.winograd4_output(&arguments)
            } else {
                table.pointee.winograd2_output(&arguments)
            }
            row += tileRows
            source += (shape.side + 1) / 2 * channelBlock
        }
    }
}
