import CKernels
private import COpenBLAS

extension Kernels {
    /// What computes where the processor has no vector kernels here: the scalar ones with OpenBLAS for the matrix products,
    /// where nearly all of the time goes.
    ///
    /// Not the way for processors that have: OpenBLAS chooses the order of its sums by a matrix's shape and by the environment,
    /// so with it an image's bits may depend on its batch, and it neither reads the packed weights nor the row groups as
    /// they lie but in pieces of 16 columns.
    public static let openBLAS: Kernels = {
        precondition(BLAS.isConfigured)
        let table = UnsafeMutablePointer<hw_kernels>.allocate(capacity: 1)
        table.initialize(to: hw_kernels_named("scalar").pointee)
        let name: StaticString = "openblas"
        table.pointee.name = UnsafeRawPointer(name.utf8Start).assumingMemoryBound(to: CChar.self)
        // Nothing is gained by small groups: larger ones make larger products.
        table.pointee.tile_rows = 64
        table.pointee.tile_rows_bf16 = 0
        table.pointee.gemm_bf16 = nil
        table.pointee.gemm = { multiply($0!.pointee) }
        table.pointee.gemm_transposed = { multiplyTransposed($0!.pointee) }
        return Kernels(table: table)
    }()
}

private let pitch = 16

/// C = A·B + bias + residual: a product of [rows][16] by [16][16] for each block of A's columns and of C's.
private func multiply(_ g: hw_gemm_arguments) {
    for block in 0..<g.blocks {
        let c = g.c + block * g.c_block_stride
        begin(c, bias: g.bias.map { $0 + block * pitch }, residual: g.residual, block: block, g)
        for first in stride(from: 0, to: g.rows, by: g.group_rows) {
            let rows = min(g.group_rows, g.rows - first)
            let a = g.a + first / g.group_rows * g.a_group_stride
            for column in stride(from: 0, to: g.k, by: pitch) {
                cblas_sgemm(
                    CblasRowMajor, CblasNoTrans, CblasNoTrans, blasint(rows), blasint(pitch),
                    blasint(min(pitch, g.k - column)), 1, a + column / pitch * g.a_block_stride, blasint(pitch),
                    g.b + block * g.b_panel_stride + column * pitch, blasint(pitch), 1, c + first * pitch,
                    blasint(pitch))
            }
        }
    }
}

/// What the products are added to; the residual may be C itself.
private func begin(
    _ c: UnsafeMutablePointer<Float>, bias: UnsafePointer<Float>?, residual: UnsafePointer<Float>?, block: Int,
    _ g: hw_gemm_arguments
) {
    let residual = residual.map { $0 + block * g.residual_block_stride }
    for i in 0..<g.rows * pitch { c[i] = (residual?[i] ?? 0) + (bias?[i % pitch] ?? 0) }
}

/// C = Aᵀ·B (+ C): a product of [16][k] by [k][16] for each block of A's columns and of B's.
private func multiplyTransposed(_ g: hw_gemm_transposed_arguments) {
    for block in 0..<g.blocks {
        for row in stride(from: 0, to: g.rows, by: pitch) {
            cblas_sgemm(
                CblasRowMajor, CblasTrans, CblasNoTrans, blasint(min(pitch, g.rows - row)), blasint(pitch),
                blasint(g.k),
                1, g.a + row / pitch * g.a_block_stride, blasint(pitch), g.b + block * g.b_block_stride, blasint(pitch),
                g.accumulates ? 1 : 0, g.c + block * g.c_block_stride + row * pitch, blasint(pitch))
        }
    }
}
