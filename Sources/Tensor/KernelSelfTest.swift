import CKernels

/// Kernels that disagree with their scalar twins: a broken processor, emulator or build.
public struct KernelSelfTestError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The kernels and the function that is wrong.
    public let description: String
}

/// Compares kernels with their scalar twins on a fixed input, before anybody is served by them.
public enum KernelSelfTest {
    /// Runs the test; it takes about a millisecond.
    ///
    /// - Throws: `KernelSelfTestError` naming the kernels, the function, and the flag that selects others.
    public static func run(_ kernels: Kernels) throws(KernelSelfTestError) {
        guard kernels.name != "scalar", let twin = Kernels(named: "scalar") else { return }
        for (name, compute) in checks {
            let (found, expected) = (compute(kernels), compute(twin))
            let magnitude = expected.reduce(0) { max($0, abs($1)) }
            for (a, b) in zip(found, expected) where !(abs(a - b) <= 1e-5 * max(magnitude, 1)) {
                throw KernelSelfTestError(
                    description:
                        "the \(kernels.name) kernels compute \(name) wrongly on this processor (\(a) instead of "
                        + "\(b)); select others with --kernels or HEADWATER_KERNELS, such as scalar")
            }
        }
    }

    private static let checks: [(name: String, compute: @Sendable (Kernels) -> [Float])] = [
        ("gemm", gemm), ("activate", activate), ("winograd4", { winograd($0, tile: 4) }),
        ("winograd2", { winograd($0, tile: 2) }), ("moments", moments), ("softmax", softmax),
        ("transpose", transpose),
    ]

    private static func noise(_ count: Int) -> AlignedBuffer {
        AlignedBuffer((0..<count).map { Float(($0 * 7_919 + 104_729) % 2_003) / 1_001 - 1 })
    }

    private static func array(_ buffer: AlignedBuffer) -> [Float] {
        Array(UnsafeBufferPointer(start: buffer.pointer, count: buffer.count))
    }

    private static func gemm(_ kernels: Kernels) -> [Float] {
        let (rows, k, blocks) = (17, 48, 3)
        let (a, b, bias) = (noise(rows * k), noise(blocks * k * 16), noise(blocks * 16))
        let c = AlignedBuffer(count: blocks * rows * 16)
        kernels.gemm(
            hw_gemm_arguments(
                a: a.pointer, a_block_stride: rows * 16, a_group_stride: 0, group_rows: rows, b: b.pointer,
                b_panel_stride: k * 16, c: c.pointer, c_block_stride: rows * 16, rows: rows, k: k, blocks: blocks,
                bias: bias.pointer, residual: nil, residual_block_stride: 0))
        return withExtendedLifetime((a, b, bias)) { array(c) }
    }

    private static func activate(_ kernels: Kernels) -> [Float] {
        let (source, scale, shift) = (noise(160), noise(16), noise(16))
        let result = AlignedBuffer(count: 160)
        kernels.table.pointee.activate(
            result.pointer, source.pointer, 10, scale.pointer, shift.pointer, HW_AFFINE_SILU)
        return withExtendedLifetime((source, scale, shift)) { array(result) }
    }

    private static func winograd(_ kernels: Kernels, tile: Int) -> [Float] {
        let size = tile + 2
        let (tiles, positions) = (2, size * size)
        let strip = noise(size * (tiles * tile + 2) * 16)
        let v = AlignedBuffer(count: positions * tiles * 16)
        let transform = tile == 4 ? kernels.table.pointee.winograd4_input! : kernels.table.pointee.winograd2_input!
        transform(v.pointer, tiles * 16, tiles, tiles * 16, 0, strip.pointer, (tiles * tile + 2) * 16, tiles)
        let (bias, output) = (noise(16), AlignedBuffer(count: tile * tiles * tile * 16))
        var arguments = hw_winograd_output_arguments(
            destination: output.pointer, products: v.pointer, position_stride: tiles * 16, width: tiles * tile,
            rows: tile, bias: bias.pointer, residual: nil)
        let inverse = tile == 4 ? kernels.table.pointee.winograd4_output! : kernels.table.pointee.winograd2_output!
        inverse(&arguments)
        return withExtendedLifetime((strip, bias)) { array(v) + array(output) }
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
