private import COpenBLAS

/// OpenBLAS, for matrix products off the hot path, such as those of evaluation, and on processors without vector kernels here
/// (`Kernels.openBLAS`). Elsewhere everything that an embedding depends on runs on the kernels of `CKernels`, whose sums depend
/// neither on the batch nor on the environment.
public enum BLAS {
    /// One thread a call: parallelism is the worker pool's, and two pools would fight for the same cores.
    static let isConfigured: Bool = {
        openblas_set_num_threads(1)
        return true
    }()

    /// Which kernels OpenBLAS selected for this processor, such as `Zen` or `SkylakeX`.
    public static var selectedCore: String {
        precondition(isConfigured)
        return String(cString: openblas_get_corename())
    }

    /// c = a·bᵀ, all row-major: a is [rows][depth], b [columns][depth], c [rows][columns]. Threads may call it at the same
    /// time with results of their own.
    public static func multiply(
        _ a: UnsafePointer<Float>, transposed b: UnsafePointer<Float>, into c: UnsafeMutablePointer<Float>, rows: Int,
        columns: Int, depth: Int
    ) {
        precondition(isConfigured)
        precondition([rows, columns, depth].allSatisfy { (1...Int(Int32.max)).contains($0) })
        cblas_sgemm(
            CblasRowMajor, CblasNoTrans, CblasTrans, blasint(rows), blasint(columns), blasint(depth), 1, a,
            blasint(depth), b, blasint(depth), 0, c, blasint(columns))
    }

    /// c += aᵀ·b, all row-major: a is [depth][rows], b [depth][columns], c [rows][columns]. Threads may call it at the same
    /// time with results of their own.
    public static func accumulate(
        transposed a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, into c: UnsafeMutablePointer<Float>, rows: Int,
        columns: Int, depth: Int
    ) {
        precondition(isConfigured)
        precondition([rows, columns, depth].allSatisfy { (1...Int(Int32.max)).contains($0) })
        cblas_sgemm(
            CblasRowMajor, CblasTrans, CblasNoTrans, blasint(rows), blasint(columns), blasint(depth), 1, a,
            blasint(rows), b, blasint(columns), 1, c, blasint(columns))
    }
}
