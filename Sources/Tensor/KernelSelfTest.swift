import CKernels

/// Kernels that disagree with their scalar twins: a broken processor, emulator or build.
public struct KernelSelfTestError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The function that is wrong, as `hw_kernels` names it.
    public let function: String
    /// The kernels, the function, a number of its, and the flag that selects other kernels.
    public let description: String
}

/// Compares kernels with their scalar twins on a fixed input, before they compute any answer.
public enum KernelSelfTest {
    /// Runs the test; it takes about a millisecond.
    ///
    /// - Throws: `KernelSelfTestError` naming the kernels, the function, and the flag that selects others.
    public static func run(_ kernels: Kernels) throws(KernelSelfTestError) {
        guard let twin = Kernels(named: "scalar"), kernels.table != twin.table else { return }
        for (function, compute) in checks + gradientChecks + (kernels.computes(.bf16) ? reducedPrecisionChecks : []) {
            let (found, expected) = (compute(kernels), compute(twin))
            let magnitude = expected.reduce(0) { max($0, abs($1)) }
            for (a, b) in zip(found, expected) where !(abs(a - b) <= 1e-5 * max(magnitude, 1)) {
                throw KernelSelfTestError(
                    function: function,
                    description:
                        "the \(kernels.name) kernels compute \(function) wrongly on this processor (\(a) instead of "
                        + "\(b)); select others with --kernels or HEADWATER_KERNELS, such as scalar")
            }
        }
    }

    /// For each function of `hw_kernels`, under its name there, the numbers that it computes. A check calls no other
    /// function of the table, so that what it finds wrong is what is wrong.
    private static let checks: [(function: String, compute: @Sendable (Kernels) -> [Float])] = [
        ("gemm", gemm), ("activate", activate), ("copy_doubled", copyDoubled),
        ("winograd4_input", { winogradInput($0.table.pointee.winograd4_input, tile: 4) }),
        ("winograd2_input", { winogradInput($0.table.pointee.winograd2_input, tile: 2) }),
        ("winograd4_output", { winogradOutput($0.table.pointee.winograd4_output, tile: 4) }),
        ("winograd2_output", { winogradOutput($0.table.pointee.winograd2_output, tile: 2) }),
        ("moments", moments), ("softmax", softmax), ("transpose", transpose),
    ]

    private static let reducedPrecisionChecks: [(function: String, compute: @Sendable (Kernels) -> [Float])] = [
        ("gemm_bf16", gemmBF16), ("narrow", narrow), ("winograd2_input_bf16", winogradInputBF16),
    ]

    static func noise(_ count: Int) -> AlignedBuffer {
        AlignedBuffer((0..<count).map { Float(($0 * 7_919 + 104_729) % 2_003) / 1_001 - 1 })
    }

    static func array(_ buffer: AlignedBuffer) -> [Float] {
        Array(UnsafeBufferPointer(start: buffer.pointer, count: buffer.count))
    }

    /// Rows of which one makes a single tile, and the other several, two and one blocks wide.
    private static let productRows = [5, 31]

    private static func gemm(_ kernels: Kernels) -> [Float] { productRows.flatMap { gemm(kernels, rows: $0) } }

    private static func gemm(_ kernels: Kernels, rows: Int) -> [Float] {
        let (k, blocks) = (48, 3)
        let (a, b, bias) = (noise(rows * k), noise(blocks * k * 16), noise(blocks * 16))
        let residual = noise(blocks * rows * 16)
        let c = AlignedBuffer(count: blocks * rows * 16)
        kernels.gemm(
            hw_gemm_arguments(
                a: a.pointer, a_block_stride: rows * 16, a_group_stride: 0, group_rows: rows, b: b.pointer,
                b_panel_stride: k * 16, c: c.pointer, c_block_stride: rows * 16, rows: rows, k: k, blocks: blocks,
                bias: bias.pointer, residual: residual.pointer, residual_block_stride: rows * 16))
        return withExtendedLifetime((a, b, bias, residual)) { array(c) }
    }

    private static func gemmBF16(_ kernels: Kernels) -> [Float] { productRows.flatMap { gemmBF16(kernels, rows: $0) } }

    private static func gemmBF16(_ kernels: Kernels, rows: Int) -> [Float] {
        let (k, blocks) = (48, 3)
        // Rounded as packed weights are, not by the function of the table that does it.
        let panelRows = (rows * k / 16 + 3) / 4 * 4
        let (a, b) = (AlignedBuffer(count: panelRows * 8), AlignedBuffer(count: blocks * k * 8))
        let (factors, weights) = (noise(panelRows * 16), noise(blocks * k * 16))
        hw_narrow_panels(a.pointer, factors.pointer, panelRows)
        hw_narrow_panels(b.pointer, weights.pointer, blocks * k)
        let c = AlignedBuffer(count: blocks * rows * 16)
        kernels.gemm(
            hw_gemm_arguments(
                a: a.pointer, a_block_stride: rows * 8, a_group_stride: 0, group_rows: rows, b: b.pointer,
                b_panel_stride: k * 8, c: c.pointer, c_block_stride: rows * 16, rows: rows, k: k, blocks: blocks,
                bias: nil, residual: nil, residual_block_stride: 0), in: .bf16)
        return withExtendedLifetime((a, b, factors, weights)) { array(c) }
    }

    private static func narrow(_ kernels: Kernels) -> [Float] {
        let (source, pairs) = (noise(7 * 16), AlignedBuffer(count: 7 * 8))
        kernels.table.pointee.narrow(pairs.pointer, source.pointer, 7)
        return withExtendedLifetime(source) { widened(pairs) }
    }

    private static func winogradInputBF16(_ kernels: Kernels) -> [Float] {
        let rowStride = 8 * 16
        let (strip, pairs) = (noise(4 * rowStride), AlignedBuffer(count: 16 * 3 * 8))
        kernels.table.pointee.winograd2_input_bf16(pairs.pointer, 3 * 8, 3, 3 * 8, 0, strip.pointer, rowStride, 3)
        return withExtendedLifetime(strip) { widened(pairs) }
    }

    /// The numbers of pairs of bf16.
    private static func widened(_ pairs: AlignedBuffer) -> [Float] {
        array(pairs).flatMap { word in
            [Float(bitPattern: word.bitPattern << 16), Float(bitPattern: word.bitPattern & 0xffff_0000)]
        }
    }

    private static func activate(_ kernels: Kernels) -> [Float] {
        let (source, scale, shift) = (noise(160), noise(16), noise(16))
        return [HW_COPY, HW_AFFINE, HW_AFFINE_SILU].flatMap { activation in
            let result = AlignedBuffer(count: 160)
            kernels.table.pointee.activate(result.pointer, source.pointer, 10, scale.pointer, shift.pointer, activation)
            return withExtendedLifetime((source, scale, shift)) { array(result) }
        }
    }

    private static func copyDoubled(_ kernels: Kernels) -> [Float] {
        let (source, result) = (noise(7 * 16), AlignedBuffer(count: 14 * 16))
        kernels.table.pointee.copy_doubled(result.pointer, source.pointer, 7)
        return withExtendedLifetime(source) { array(result) }
    }

    private static func winogradInput(
        _ transform:
            @convention(c) (UnsafeMutablePointer<Float>?, Int, Int, Int, Int, UnsafePointer<Float>?, Int, Int)
            -> Void,
        tile: Int
    ) -> [Float] {
        let (size, tiles) = (tile + 2, 3)
        let rowStride = (tiles * tile + 2) * 16
        let (strip, result) = (noise(size * rowStride), AlignedBuffer(count: size * size * tiles * 16))
        transform(result.pointer, tiles * 16, tiles, tiles * 16, 0, strip.pointer, rowStride, tiles)
        return withExtendedLifetime(strip) { array(result) }
    }

    private static func winogradOutput(
        _ transform: @convention(c) (UnsafePointer<hw_winograd_output_arguments>?) -> Void, tile: Int
    ) -> [Float] {
        // The last tile lies across the image's edge.
        let (size, tiles, width) = (tile + 2, 3, 3 * tile - 1)
        let (products, bias, residual) = (noise(size * size * tiles * 16), noise(16), noise(tile * width * 16))
        let result = AlignedBuffer(count: tile * width * 16)
        var arguments = hw_winograd_output_arguments(
            destination: result.pointer, products: products.pointer, position_stride: tiles * 16, width: width,
            rows: tile, bias: bias.pointer, residual: residual.pointer)
        transform(&arguments)
        return withExtendedLifetime((products, bias, residual)) { array(result) }
    }

    private static func moments(_ kernels: Kernels) -> [Float] {
        let (source, result) = (noise(33 * 16), AlignedBuffer(count: 32))
        kernels.table.pointee.moments(result.pointer, source.pointer, 33)
        return withExtendedLifetime(source) { array(result) }
    }

    private static func softmax(_ kernels: Kernels) -> [Float] {
        let scores = noise(3 * 5 * 16)
        kernels.table.pointee.softmax(scores.pointer, 5 * 16, 5, 37)
        return array(scores)
    }

    private static func transpose(_ kernels: Kernels) -> [Float] {
        let (source, panels) = (noise(512), AlignedBuffer(count: 512))
        kernels.table.pointee.transpose(panels.pointer, 256, source.pointer, 21)
        return withExtendedLifetime(source) { array(panels) }
    }
}
