import CKernels
import Tensor
import TestFixtures
import Testing

private let vectorKernels = Kernels.all.filter { $0.name != "scalar" }
private let scalar = Kernels(named: "scalar")!

@Suite("Every kernel of backward passes agrees with its scalar twin")
struct GradientKernelTests {
    @Test(
        "Products over rows: any number of rows, odd block counts, added or not",
        arguments: vectorKernels + [.openBLAS], 1...17)
    func gemmTransposed(kernels: Kernels, rows: Int) {
        var noise = SeededGenerator(seed: UInt64(rows))
        for (k, blocks) in [(1, 1), (7, 2), (64, 3)] {
            for accumulates in [false, true] {
                let a = noise.buffer((rows + 15) / 16 * k * 16)
                let b = noise.buffer(blocks * k * 16)
                // A row behind each block that must stay as it is.
                let start = noise.floats(blocks * (rows + 1) * 16)
                let results = [kernels, scalar].map { kernels in
                    let c = AlignedBuffer(start)
                    kernels.gemmTransposed(
                        hw_gemm_transposed_arguments(
                            a: a.pointer, a_block_stride: k * 16, b: b.pointer, b_block_stride: k * 16, c: c.pointer,
                            c_block_stride: (rows + 1) * 16, k: k, rows: rows, blocks: blocks,
                            accumulates: accumulates))
                    return c
                }
                #expect(relativeError(results[0], results[1]) < 1e-6)
                let kept = (rows * 16)..<((rows + 1) * 16)
                #expect(kept.allSatisfy { results[0].pointer[$0] == start[$0] })
            }
        }
    }

    @Test("Winograd's transposed output transforms, clipped to the image", arguments: vectorKernels, 1...9)
    func winogradSpread(kernels: Kernels, width: Int) {
        var noise = SeededGenerator(seed: UInt64(width))
        for tile in [2, 4] {
            for rows in 0...tile {
                let (tiles, positions) = ((width + tile - 1) / tile, (tile + 2) * (tile + 2))
                let source = noise.buffer(max(rows, 1) * width * 16)
                let results = [kernels, scalar].map { kernels in
                    let products = AlignedBuffer(count: positions * tiles * 16)
                    var arguments = hw_winograd_spread_arguments(
                        products: products.pointer, position_stride: tiles * 16, source: source.pointer, width: width,
                        rows: rows)
                    let spread =
                        tile == 4 ? kernels.table.pointee.winograd4_spread! : kernels.table.pointee.winograd2_spread!
                    spread(&arguments)
                    return products
                }
                #expect(relativeError(results[0], results[1]) < 1e-6)
            }
        }
    }

    @Test("The derivative of SiLU over the whole range of inputs", arguments: vectorKernels)
    func extremeActivations(kernels: Kernels) {
        let extremes: [Float] = [
            0, 1, -1, 30, -30, 86, -86, 87.5, -87.5, 88.8, -88.8, 100, -100, -177.45, 1e30, -1e30,
        ]
        let x = AlignedBuffer(extremes)
        // Inverse deviation, offset, factor and shift that leave x as it is.
        let coefficients = AlignedBuffer([1, 0, 1, 0].flatMap { [Float](repeating: $0, count: 16) })
        let results = [kernels, scalar].map { kernels in
            let (gradient, sums) = (AlignedBuffer([Float](repeating: 1, count: 16)), AlignedBuffer(count: 32))
            kernels.table.pointee.activate_gradient(
                sums.pointer, gradient.pointer, x.pointer, 1, coefficients.pointer, HW_AFFINE_SILU)
            return gradient
        }
        for (i, u) in extremes.enumerated() {
            #expect(abs(results[0].pointer[i] - results[1].pointer[i]) < 1e-6, "at \(u)")
            if abs(u) > 80 { #expect(abs(results[1].pointer[i] - (u > 0 ? 1 : 0)) < 1e-6, "at \(u)") }
        }
    }

    @Test("Activation, normalisation and softmax on the way back", arguments: vectorKernels, [1, 2, 15, 33])
    func elementwise(kernels: Kernels, pixels: Int) {
        var noise = SeededGenerator(seed: UInt64(pixels))
        let (gradient, x) = (noise.floats(pixels * 16), noise.buffer(pixels * 16))
        let coefficients = AlignedBuffer(noise.floats(64).map { 3 * $0 })
        for activation in [HW_AFFINE, HW_AFFINE_SILU] {
            let results = [kernels, scalar].map { kernels in
                let (own, sums) = (AlignedBuffer(gradient), AlignedBuffer(count: 32))
                kernels.table.pointee.activate_gradient(
                    sums.pointer, own.pointer, x.pointer, pixels, coefficients.pointer, activation)
                return (own, sums)
            }
            #expect(relativeError(results[0].0, results[1].0) < 1e-6)
            #expect(relativeError(results[0].1, results[1].1) < 1e-5)
        }
        let addend = noise.buffer(pixels * 16)
        for addend in [nil, addend.pointer] {
            let results = [kernels, scalar].map { kernels in
                let own = AlignedBuffer(gradient)
                kernels.table.pointee.normalize_gradient(
                    own.pointer, own.pointer, x.pointer, addend, pixels, coefficients.pointer)
                return own
            }
            #expect(relativeError(results[0], results[1]) < 1e-6)
        }
        withExtendedLifetime(addend) {}
        for columns in [1, 16, 37] {
            let blocks = (columns + 15) / 16
            let (scores, probabilities) = (noise.floats(blocks * pixels * 16), noise.buffer(blocks * pixels * 16))
            scalar.table.pointee.softmax(probabilities.pointer, pixels * 16, pixels, columns)
            let results = [kernels, scalar].map { kernels in
                let own = AlignedBuffer(scores)
                kernels.table.pointee.softmax_gradient(
                    own.pointer, probabilities.pointer, pixels * 16, pixels, columns)
                return own
            }
            // A single column's gradient is zero but for rounding.
            #expect(columns == 1 || relativeError(results[0], results[1]) < 1e-6)
        }
    }
}
