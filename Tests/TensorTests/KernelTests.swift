import CKernels
import Tensor
import TestFixtures
import Testing

extension SeededGenerator {
    mutating func buffer(_ count: Int) -> AlignedBuffer { AlignedBuffer(floats(count)) }
}

/// Largest difference over the largest magnitude of the reference.
func relativeError(_ a: AlignedBuffer, _ reference: AlignedBuffer) -> Float {
    var difference: Float = 0
    var magnitude: Float = 0
    for i in 0..<reference.count {
        guard a.pointer[i].isFinite else { return .infinity }
        difference = max(difference, abs(a.pointer[i] - reference.pointer[i]))
        magnitude = max(magnitude, abs(reference.pointer[i]))
    }
    return difference / max(magnitude, .leastNormalMagnitude)
}

private let vectorKernels = Kernels.all.filter { $0.name != "scalar" }
private let scalar = Kernels(named: "scalar")!

@Suite("Every kernel of every instruction set agrees with its scalar twin")
struct KernelTests {
    @Test("GEMM: any number of rows, a tail in k, odd block counts", arguments: vectorKernels + [.openBLAS], 1...30)
    func gemm(kernels: Kernels, rows: Int) {
        var noise = SeededGenerator(seed: UInt64(rows))
        for (k, blocks) in [(16, 1), (37, 2), (64, 3), (144, 5)] {
            let kBlocks = (k + 15) / 16
            let a = noise.buffer(kBlocks * rows * 16)
            let b = noise.buffer(blocks * k * 16)
            let bias = noise.buffer(blocks * 16)
            let residual = noise.buffer(blocks * rows * 16)
            let results = [kernels, scalar].map { kernels in
                let c = AlignedBuffer(count: blocks * rows * 16)
                kernels.gemm(
                    hw_gemm_arguments(
                        a: a.pointer, a_block_stride: rows * 16, a_group_stride: 0, group_rows: rows, b: b.pointer,
                        b_panel_stride: k * 16, c: c.pointer, c_block_stride: rows * 16, rows: rows, k: k,
                        blocks: blocks, bias: bias.pointer, residual: residual.pointer,
                        residual_block_stride: rows * 16))
                return c
            }
            #expect(relativeError(results[0], results[1]) < 1e-6)
        }
    }

    @Test("GEMM: a row's bits do not depend on how many rows it is computed with", arguments: vectorKernels)
    func gemmRowsAreIndependent(kernels: Kernels) {
        var noise = SeededGenerator(seed: 3)
        let (k, blocks, rows) = (80, 3, 37)
        let a = noise.buffer(k * rows)
        let b = noise.buffer(blocks * k * 16)
        func product(_ range: Range<Int>) -> AlignedBuffer {
            let c = AlignedBuffer(count: blocks * range.count * 16)
            kernels.gemm(
                hw_gemm_arguments(
                    a: a.pointer + range.lowerBound * 16, a_block_stride: rows * 16, a_group_stride: 0,
                    group_rows: range.count, b: b.pointer, b_panel_stride: k * 16, c: c.pointer,
                    c_block_stride: range.count * 16, rows: range.count, k: k, blocks: blocks, bias: nil,
                    residual: nil, residual_block_stride: 0))
            return c
        }
        let all = product(0..<rows)
        for range in [0..<1, 3..<7, 5..<19, 28..<29, 1..<29, 4..<20, 0..<33] {
            let part = product(range)
            for block in 0..<blocks {
                for row in range {
                    for lane in 0..<16 {
                        #expect(
                            part.pointer[(block * range.count + row - range.lowerBound) * 16 + lane].bitPattern
                                == all.pointer[(block * rows + row) * 16 + lane].bitPattern)
                    }
                }
            }
        }
    }

    @Test("Activation: copy, affine, SiLU over the whole range of inputs", arguments: vectorKernels)
    func activate(kernels: Kernels) {
        var noise = SeededGenerator(seed: 5)
        let pixels = 33
        let source = AlignedBuffer((0..<(pixels * 16)).map { _ in noise.nextFloat() * 30 })
        for (i, extreme) in [Float(0), -0.0, 100, -100, 1e4, -1e4, 3e38, -3e38, 1e-30].enumerated() {
            source.pointer[i] = extreme
        }
        let scale = AlignedBuffer([Float](repeating: 1, count: 16))
        let shift = AlignedBuffer((0..<16).map { $0 < 9 ? 0 : noise.nextFloat() })
        for activation in [HW_COPY, HW_AFFINE, HW_AFFINE_SILU] {
            let results = [kernels, scalar].map { kernels in
                let result = AlignedBuffer(count: pixels * 16)
                kernels.table.pointee.activate(
                    result.pointer, source.pointer, pixels, scale.pointer, shift.pointer, activation)
                return result
            }
            for i in 0..<(pixels * 16) {
                let (value, reference) = (results[0].pointer[i], results[1].pointer[i])
                #expect(abs(value - reference) <= 4e-7 * max(abs(reference), 1e-3), "\(source.pointer[i])")
            }
        }
    }

    @Test("NaN goes in, NaN comes out of SiLU", arguments: Kernels.all)
    func activateKeepsNaN(kernels: Kernels) {
        let source = AlignedBuffer([Float](repeating: .nan, count: 16))
        let one = AlignedBuffer([Float](repeating: 1, count: 16))
        let result = AlignedBuffer(count: 16)
        kernels.table.pointee.activate(result.pointer, source.pointer, 1, one.pointer, one.pointer, HW_AFFINE_SILU)
        for i in 0..<16 { #expect(result.pointer[i].isNaN) }
    }

    @Test("Winograd transforms, grouped and clipped", arguments: vectorKernels, [4, 2])
    func winograd(kernels: Kernels, tile: Int) {
        var noise = SeededGenerator(seed: UInt64(tile))
        let size = tile + 2
        let positions = size * size
        for (width, rows) in [(1, 1), (tile, tile), (13, tile - 1), (32, tile)] {
            let tiles = (width + tile - 1) / tile
            let rowStride = (tiles * tile + 2) * 16
            let strip = noise.buffer(size * rowStride)
            let groupRows = 3
            let groups = (tiles + 1 + groupRows - 1) / groupRows
            let transformed = [kernels, scalar].map { kernels in
                let v = AlignedBuffer(count: positions * groups * groupRows * 16)
                let transform =
                    tile == 4 ? kernels.table.pointee.winograd4_input! : kernels.table.pointee.winograd2_input!
                transform(
                    v.pointer, groups * groupRows * 16, groupRows, groupRows * 16, 1, strip.pointer, rowStride, tiles)
                return v
            }
            #expect(relativeError(transformed[0], transformed[1]) < 1e-6)

            let products = noise.buffer(positions * tiles * 16)
            let bias = noise.buffer(16)
            let residual = noise.buffer(rows * width * 16)
            let outputs = [kernels, scalar].map { kernels in
                let output = AlignedBuffer(count: rows * width * 16)
                var arguments = hw_winograd_output_arguments(
                    destination: output.pointer, products: products.pointer, position_stride: tiles * 16, width: width,
                    rows: rows, bias: bias.pointer, residual: residual.pointer)
                let transform =
                    tile == 4 ? kernels.table.pointee.winograd4_output! : kernels.table.pointee.winograd2_output!
                transform(&arguments)
                return output
            }
            #expect(relativeError(outputs[0], outputs[1]) < 1e-6)
        }
    }

    @Test("Moments of 1 to 70 pixels with a large mean", arguments: vectorKernels)
    func moments(kernels: Kernels) {
        var noise = SeededGenerator(seed: 11)
        for pixels in [1, 2, 3, 16, 70] {
            let source = AlignedBuffer((0..<(pixels * 16)).map { _ in 50 + noise.nextFloat() })
            let results = [kernels, scalar].map { kernels in
                let result = AlignedBuffer(count: 32)
                kernels.table.pointee.moments(result.pointer, source.pointer, pixels)
                return result
            }
            for i in 0..<32 {
                #expect(abs(results[0].pointer[i] - results[1].pointer[i]) <= 1e-5 * abs(results[1].pointer[i]) + 1e-5)
            }
        }
    }

    @Test("Softmax over any number of columns, far-apart scores included", arguments: vectorKernels)
    func softmax(kernels: Kernels) {
        var noise = SeededGenerator(seed: 13)
        for (rows, columns) in [(1, 1), (3, 15), (5, 16), (2, 17), (64, 256)] {
            let stride = rows * 16
            let count = (columns + 15) / 16 * stride
            let scores = (0..<count).map { _ in noise.nextFloat() * 200 }
            let results = [kernels, scalar].map { kernels in
                let result = AlignedBuffer(scores)
                kernels.table.pointee.softmax(result.pointer, stride, rows, columns)
                return result
            }
            #expect(relativeError(results[0], results[1]) < 2e-6)
            for row in 0..<rows {
                var sum: Float = 0
                for c in 0..<((columns + 15) / 16 * 16) {
                    sum += results[0].pointer[c / 16 * stride + row * 16 + c % 16]
                }
                #expect(abs(sum - 1) < 1e-5)
            }
        }
    }

    @Test("Transposition into panels, rows past the last zero", arguments: vectorKernels)
    func transpose(kernels: Kernels) {
        var noise = SeededGenerator(seed: 17)
        for rows in [1, 15, 16, 17, 64] {
            let source = noise.buffer((rows + 15) / 16 * 256)
            let results = [kernels, scalar].map { kernels in
                let result = AlignedBuffer(count: (rows + 15) / 16 * 256)
                kernels.table.pointee.transpose(result.pointer, 256, source.pointer, rows)
                return result
            }
            #expect(relativeError(results[0], results[1]) == 0)
        }
    }

    @Test("The finiteness check sees one NaN or infinity anywhere")
    func allFinite() {
        var values = [Float](repeating: .greatestFiniteMagnitude, count: 100)
        #expect(hw_all_finite(values, values.count))
        for (index, bad) in [(0, Float.nan), (57, .infinity), (99, -.infinity)] {
            let old = values[index]
            values[index] = bad
            #expect(!hw_all_finite(values, values.count))
            values[index] = old
        }
    }
}
