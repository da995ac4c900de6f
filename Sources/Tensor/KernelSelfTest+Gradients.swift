import CKernels

extension KernelSelfTest {
    /// The checks of the kernels of backward passes.
    static let gradientChecks: [(function: String, compute: @Sendable (Kernels) -> [Float])] = [
        ("gemm_transposed", gemmTransposed),
        ("winograd4_spread", { winogradSpread($0.table.pointee.winograd4_spread, tile: 4) }),
        ("winograd2_spread", { winogradSpread($0.table.pointee.winograd2_spread, tile: 2) }),
        ("activate_gradient", activateGradient), ("normalize_gradient", normalizeGradient),
        ("softmax_gradient", softmaxGradient),
    ]

    private static func gemmTransposed(_ kernels: Kernels) -> [Float] {
        // A tail of rows, and an odd number of blocks.
        let (k, rows, blocks) = (9, 19, 3)
        let (a, b, c) = (noise(2 * k * 16), noise(blocks * k * 16), noise(blocks * rows * 16))
        return [true, false].flatMap { accumulates in
            kernels.gemmTransposed(
                hw_gemm_transposed_arguments(
                    a: a.pointer, a_block_stride: k * 16, b: b.pointer, b_block_stride: k * 16, c: c.pointer,
                    c_block_stride: rows * 16, k: k, rows: rows, blocks: blocks, accumulates: accumulates))
            return withExtendedLifetime((a, b)) { array(c) }
        }
    }

    private static func winogradSpread(
        _ transform: @convention(c) (UnsafePointer<hw_winograd_spread_arguments>?) -> Void, tile: Int
    ) -> [Float] {
        // The last tile and the last row lie across the image's edge.
        let (size, tiles, width, rows) = (tile + 2, 3, 3 * tile - 1, tile - 1)
        let (source, products) = (noise(rows * width * 16), AlignedBuffer(count: size * size * tiles * 16))
        var arguments = hw_winograd_spread_arguments(
            products: products.pointer, position_stride: tiles * 16, source: source.pointer, width: width, rows: rows)
        transform(&arguments)
        return withExtendedLifetime(source) { array(products) }
    }

    private static func activateGradient(_ kernels: Kernels) -> [Float] {
        let (x, coefficients) = (noise(160), noise(64))
        return [HW_AFFINE, HW_AFFINE_SILU].flatMap { activation in
            let (gradient, sums) = (noise(160), AlignedBuffer(count: 32))
            kernels.table.pointee.activate_gradient(
                sums.pointer, gradient.pointer, x.pointer, 10, coefficients.pointer, activation)
            return withExtendedLifetime((x, coefficients)) { array(gradient) + array(sums) }
        }
    }

    private static func normalizeGradient(_ kernels: Kernels) -> [Float] {
        let (gradient, x, addend, coefficients) = (noise(160), noise(160), noise(160), noise(48))
        return [nil, addend.pointer].flatMap { addend in
            let result = AlignedBuffer(count: 160)
            kernels.table.pointee.normalize_gradient(
                result.pointer, gradient.pointer, x.pointer, addend, 10, coefficients.pointer)
            return withExtendedLifetime((gradient, x, coefficients)) { array(result) }
        }
    }

    private static func softmaxGradient(_ kernels: Kernels) -> [Float] {
        let (gradient, probabilities) = (noise(3 * 5 * 16), noise(3 * 5 * 16))
        kernels.table.pointee.softmax_gradient(gradient.pointer, probabilities.pointer, 5 * 16, 5, 48)
        return withExtendedLifetime(probabilities) { array(gradient) }
    }
}
