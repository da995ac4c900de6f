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

    /// a·bᵀ in double precision, all row-major: a is [rows][depth], b [columns][depth], the result [rows][columns].
    public static func product(
        _ a: [Double], transposed b: [Double], rows: Int, columns: Int, depth: Int
    ) -> [Double] {
        precondition(isConfigured)
        precondition(a.count == rows * depth && b.count == columns * depth)
        precondition([rows, columns, depth].allSatisfy { (1...Int(Int32.max)).contains($0) })
        return [Double](unsafeUninitializedCapacity: rows * columns) { c, count in
            cblas_dgemm(
                CblasRowMajor, CblasNoTrans, CblasTrans, blasint(rows), blasint(columns), blasint(depth), 1, a,
                blasint(depth), b, blasint(depth), 0, c.baseAddress, blasint(columns))
            count = rows * columns
        }
    }

    /// The eigenvalues of a symmetric matrix, ascending, and their eigenvectors of length 1, one after the other. By LAPACK's divide
    /// and conquer (dsyevd).
    ///
    /// - Parameters:
    ///   - matrix: [size][size], of which one triangle is read.
    ///   - size: at least 1, at most 16,384.
    /// - Returns: nil if the algorithm fails, as it does for numbers that aren't finite.
    public static func eigenvectors(
        ofSymmetric matrix: [Double], size: Int
    ) -> (values: [Double], vectors: [Double])? {
        precondition(isConfigured)
        precondition((1...16_384).contains(size) && matrix.count == size * size)
        // LAPACK may loop or crash on them.
        guard matrix.allSatisfy(\.isFinite) else { return nil }
        var (values, vectors) = ([Double](repeating: 0, count: size), matrix)
        var workCount = blasint(1 + 6 * size + 2 * size * size)
        var integerCount = blasint(3 + 5 * size)
        var work = [Double](repeating: 0, count: Int(workCount))
        var integers = [blasint](repeating: 0, count: Int(integerCount))
        var order = blasint(size)
        var failure: blasint = 0
        dsyevd_(
            "V", "U", &order, &vectors, &order, &values, &work, &workCount, &integers, &integerCount, &failure, 1, 1)
        return failure == 0 ? (values, vectors) : nil
    }
}
