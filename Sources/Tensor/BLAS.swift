private import COpenBLAS

/// OpenBLAS, for matrix products off the hot path: time embeddings and other things computed once at load. The reverse
/// pass itself runs on the kernels of `CKernels`, whose sums do not depend on the batch.
public enum BLAS {
    /// One thread a call: parallelism is the worker pool's, and two pools would fight for the same cores.
    private static let isConfigured: Bool = {
        openblas_set_num_threads(1)
        return true
    }()

    /// Which kernels OpenBLAS selected for this processor, such as `Zen` or `SkylakeX`.
    public static var selectedCore: String {
        precondition(isConfigured)
        return String(cString: openblas_get_corename())
    }

    /// x·wᵀ (+ bias): x is [rows][inputs], w [outputs][inputs] as PyTorch's Linear keeps it, the result
    /// [rows][outputs].
    public static func linear(_ x: [Float], weight: [Float], bias: [Float]?, inputs: Int, outputs: Int) -> [Float] {
        precondition(isConfigured)
        precondition(inputs > 0 && x.count % inputs == 0 && weight.count == inputs * outputs)
        let rows = x.count / inputs
        var result: [Float] = []
        result.reserveCapacity(rows * outputs)
        for _ in 0..<rows { result += bias ?? [Float](repeating: 0, count: outputs) }
        cblas_sgemm(
            CblasRowMajor, CblasNoTrans, CblasTrans, blasint(rows), blasint(outputs), blasint(inputs), 1, x,
            blasint(inputs), weight, blasint(inputs), 1, &result, blasint(outputs))
        return result
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
}
