import CKernels
import Tensor

extension Convolution {
    /// im2col of one chunk after another, then the matrix product.
    func direct(_ call: ConvolutionCall, units: Range<Int>, blocks: Range<Int>, scratch: Scratch) {
        var scratch = scratch
        let reader = InputReader(call, scratch: &scratch)
        let strip = scratch.take(shape.stripFloats)
        let matrix = scratch.take(shape.directScratchFloats)
        for segment in Segments(units, bands: shape.stripBands, bandsPerImage: call.output.bands) {
            gather(call, segment, reader: reader, strip: strip, matrix: matrix)
            multiply(call, segment, blocks: blocks, matrix: matrix)
            for block in blocks {
                segment.finish(call.output, block: block, call.epilogue, kernels: call.workspace.kernels)
            }
        }
    }

    /// Fills the matrix [9·inputBlocks][pixels][16], tap-major as the weights.
    func gather(
        _ call: ConvolutionCall, _ segment: Segment, reader: InputReader, strip: UnsafeMutablePointer<Float>,
        matrix: UnsafeMutablePointer<Float>
    ) {
        let (side, step) = (shape.side, shape.step)
        reader.prepare(call.transform, for: call.input, image: segment.image)
        clear(strip, bands: segment.bands.count)
        let count = shape.pixels(segment)
        for block in 0..<shape.inputBlocks {
            fill(strip, call, segment, block: block, reader: reader)
            for tap in 0..<9 {
                let column = matrix + (tap * shape.inputBlocks + block) * count * channelBlock
                for row in 0..<(count / side) {
                    hw_gather_pixels(
                        column + row * side * channelBlock,
                        strip + ((row * step + tap / 3) * shape.stripWidth + tap % 3) * channelBlock, side, step)
                }
            }
        }
    }

    private func multiply(
        _ call: ConvolutionCall, _ segment: Segment, blocks: Range<Int>, matrix: UnsafeMutablePointer<Float>
    ) {
        let count = shape.pixels(segment)
        let output = call.output
        let offset =
            segment.bands.lowerBound * bandRows * shape.side * channelBlock + blocks.lowerBound * output.blockStride
        let panel = shape.columns * channelBlock
        call.workspace.kernels.gemm(
            hw_gemm_arguments(
                a: matrix, a_block_stride: count * channelBlock, a_group_stride: 0, group_rows: count,
                b: weights.pointer + blocks.lowerBound * panel, b_panel_stride: panel,
                c: output.image(segment.image) + offset, c_block_stride: output.blockStride, rows: count,
                k: shape.columns, blocks: blocks.count, bias: bias.pointer + blocks.lowerBound * channelBlock,
                residual: call.residual.map { UnsafePointer($0.image(segment.image) + offset) },
                residual_block_stride: call.residual?.blockStride ?? 0))
    }
}
