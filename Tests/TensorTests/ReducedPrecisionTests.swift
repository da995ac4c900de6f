import CKernels
import Tensor
import TestFixtures
import Testing

private let scalar = Kernels(named: "scalar")!
private let vectorKernels = Kernels.all.filter { $0.name != "scalar" && $0.computes(.bf16) }

@Suite("The kernels of reduced precision agree with their scalar twins")
struct ReducedPrecisionTests {
    /// Rounded to bf16, to nearest, ties to even, by the definition.
    private func rounded(_ x: Float) -> Float {
        guard !x.isNaN else { return x }
        let lower = Float(bitPattern: x.bitPattern & 0xffff_0000)
        let upper = Float(bitPattern: (x.bitPattern & 0xffff_0000) &+ 0x1_0000)
        let (below, above) = (abs(Double(x) - Double(lower)), abs(Double(upper) - Double(x)))
        if below == above { return lower.bitPattern & 0x1_0000 == 0 ? lower : upper }
        return below < above ? lower : upper
    }

    @Test("Rounding is to nearest, ties to even, and may be in place", arguments: [scalar] + vectorKernels)
    func narrow(kernels: Kernels) {
        var noise = SeededGenerator(seed: 19)
        let rows = 7
        let values = (0..<(rows * 16)).map { _ in noise.nextFloat() * 1e3 }
        let source = AlignedBuffer(values)
        let special: [Float] = [1 + 0x1p-8, 1 + 3 * 0x1p-8, -1 - 0x1p-8, 0, -0.0, 0x1p-100, 1e38]
        for (i, x) in special.enumerated() { source.pointer[i] = x }
        let expected = (0..<(rows * 16)).map { rounded(source.pointer[$0]) }
        let pairs = AlignedBuffer(count: rows * 8)
        kernels.table.pointee.narrow(pairs.pointer, source.pointer, rows)
        kernels.table.pointee.narrow(source.pointer, source.pointer, rows)
        for i in 0..<(rows * 16) {
            for buffer in [pairs, source] {
                let word = buffer.pointer[i / 2].bitPattern
                let bits = i % 2 == 0 ? word << 16 : word & 0xffff_0000
                #expect(Float(bitPattern: bits) == expected[i])
            }
        }
    }

    @Test("GEMM of bf16: any number of rows, a tail in k, odd block counts", arguments: vectorKernels, 1...30)
    func gemm(kernels: Kernels, rows: Int) {
        var noise = SeededGenerator(seed: UInt64(rows))
        for (k, blocks) in [(16, 1), (36, 2), (64, 3), (144, 5)] {
            let kBlocks = (k + 15) / 16
            let a = narrowed(noise.buffer(kBlocks * rows * 16))
            let b = AlignedBuffer(count: blocks * k * 8)
            let weights = noise.buffer(blocks * k * 16)
            withExtendedLifetime(weights) { hw_narrow_panels(b.pointer, weights.pointer, blocks * k) }
            let bias = noise.buffer(blocks * 16)
            let residual = noise.buffer(blocks * rows * 16)
            let results = [kernels, scalar].map { kernels in
                let c = AlignedBuffer(count: blocks * rows * 16)
                kernels.gemm(
                    hw_gemm_arguments(
                        a: a.pointer, a_block_stride: rows * 8, a_group_stride: 0, group_rows: rows, b: b.pointer,
                        b_panel_stride: k * 8, c: c.pointer, c_block_stride: rows * 16, rows: rows, k: k,
                        blocks: blocks, bias: bias.pointer, residual: residual.pointer,
                        residual_block_stride: rows * 16), in: .bf16)
                return c
            }
            #expect(relativeError(results[0], results[1]) < 1e-6)
        }
    }

    private func narrowed(_ buffer: AlignedBuffer) -> AlignedBuffer {
        let pairs = AlignedBuffer(count: buffer.count / 2)
        withExtendedLifetime(buffer) {
            scalar.table.pointee.narrow(pairs.pointer, buffer.pointer, buffer.count / 16)
        }
        return pairs
    }

    @Test("F(2x2) input transform into bf16 is the rounded one in f32", arguments: [scalar] + vectorKernels)
    func winograd(kernels: Kernels) {
        var noise = SeededGenerator(seed: 23)
        let (tiles, groupRows, groups) = (7, 3, 3)
        let rowStride = (tiles * 2 + 2) * 16
        let strip = noise.buffer(4 * rowStride)
        let full = AlignedBuffer(count: 16 * groups * groupRows * 16)
        let pairs = AlignedBuffer(count: full.count / 2)
        kernels.table.pointee.winograd2_input(
            full.pointer, groups * groupRows * 16, groupRows, groupRows * 16, 1, strip.pointer, rowStride, tiles)
        kernels.table.pointee.winograd2_input_bf16(
            pairs.pointer, groups * groupRows * 8, groupRows, groupRows * 8, 1, strip.pointer, rowStride, tiles)
        let expected = narrowed(full)
        for i in 0..<pairs.count { #expect(pairs.pointer[i].bitPattern == expected.pointer[i].bitPattern) }
    }
}
