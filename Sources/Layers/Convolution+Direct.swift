import CKernels
import Tensor

extension Convolution {
    var directScratchFloats: Int { columns * chunkBands * rowsPerBand }

    /// im2col of one chunk after another, then the matrix product.
    func direct(_ call: Call, units: Range<Int>, blocks: Range<Int>, scratch: Scratch) {
        var scratch = scratch
        let reader = InputReader(
            kernels: call.workspace.kernels, channels: inputBlocks * channelBlock, normalization: call.normalization,
            scratch: &scratch)
        let strip = scratch.take(stripFloats)
        let matrix = scratch.take(directScratchFloats)
        var unit = units.lowerBound
        while unit < units.upperBound {
            let end = min(unit + stripBands, units.upperBound)
            let segment = Segment(at: unit, before: end, bandsPerImage: call.output.bands)
            gather(call, segment, reader: reader, strip: strip, matrix: matrix)
            multiply(call, segment, blocks: blocks, matrix: matrix)
            for block in blocks {
                segment.finish(call.output, block: block, call.epilogue, kernels: call.workspace.kernels)
            }
            unit += segment.bands.count
        }
    }

    /// Pixels of a segment's output.
    func pixels(_ segment: Segment) -> Int {
        (min(segment.bands.upperBound * bandRows, side) - segment.bands.lowerBound * bandRows) * side
    }

    /// Fills the matrix [9·inputBlocks][pixels][16], tap-major as the weights.
    func gather(
        _ call: Call, _ segment: Segment, reader: InputReader, strip: UnsafeMutablePointer<Float>,
        matrix: UnsafeMutablePointer<Float>
    ) {
        reader.prepare(call.normalization, for: call.input, image: segment.image)
        clear(strip, bands: segment.bands.count)
        let count = pixels(segment)
        for block in 0..<inputBlocks {
            fill(strip, call, segment, block: block, reader: reader)
            for tap in 0..<9 {
                let column = matrix + (tap * inputBlocks + block) * count * channelBlock
                for row in 0..<(count / side) {
                    hw_gather_pixels(
                        column + row * side * channelBlock,
                        strip + ((row * step + tap / 3) * stripWidth + tap % 3) * channelBlock, side, step)
                }
            }
        }
    }

    private func multiply(
        _ call: Call, _ segment: Segment, blocks: Range<Int>, matrix: UnsafeMutablePointer<Float>
    ) {
        let count = pixels(segment)
        let output = call.output
        let offset = segment.bands.lowerBound * bandRows * side * channelBlock + blocks.lowerBound * output.blockStride
        let panel = columns * channelBlock
        call.workspace.kernels.gemm(
            hw_gemm_arguments(
                a: matrix, a_block_stride: count * channelBlock, a_group_stride: 0, group_rows: count,
                b: weights.pointer + blocks.lowerBound * panel, b_panel_stride: panel,
                c: output.image(segment.image) + offset, c_block_stride: output.blockStride, rows: count, k: columns,
                blocks: blocks.count, bias: bias.pointer + blocks.lowerBound * channelBlock,
                residual: call.residual.map { UnsafePointer($0.image(segment.image) + offset) },
                residual_block_stride: call.residual?.blockStride ?? 0))
    }
}
