import Tensor

/// The mean and the covariance of a set of vectors, as if they were drawn from a normal distribution.
struct NormalDistribution: Equatable {
    /// [dimension].
    let mean: [Double]
    /// [dimension][dimension], with one less than the number of vectors in the denominator.
    let covariance: [Double]

    var dimension: Int { mean.count }

    /// The distribution of vectors.
    ///
    /// - Parameter vectors: [count][dimension] one after the other, at least two.
    init(of vectors: [Float], dimension: Int) {
        let count = vectors.count / dimension
        precondition(count > 1 && vectors.count == count * dimension)
        var mean = [Double](repeating: 0, count: dimension)
        for n in 0..<count {
            for i in 0..<dimension { mean[i] += Double(vectors[n * dimension + i]) / Double(count) }
        }
        // Transposed, so that the covariance is a product of rows.
        var centred = [Double](repeating: 0, count: vectors.count)
        let scale = 1 / Double(count - 1).squareRoot()
        for n in 0..<count {
            for i in 0..<dimension {
                centred[i * count + n] = (Double(vectors[n * dimension + i]) - mean[i]) * scale
            }
        }
        self.init(
            mean: mean,
            covariance: BLAS.product(
                centred, transposed: centred, rows: dimension, columns: dimension, depth: count))
    }

    init(mean: [Double], covariance: [Double]) {
        precondition(covariance.count == mean.count * mean.count)
        (self.mean, self.covariance) = (mean, covariance)
    }

    /// The squared Fréchet distance between normal distributions, as papers report it (Dowson and Landau 1982; Heusel et al. 2017):
    /// ‖μ₁ − μ₂‖² + tr(C₁ + C₂ − 2·(C₁^½·C₂·C₁^½)^½). It is exact: both roots are taken of eigenvalues.
    ///
    /// - Returns: nil if a number isn't finite.
    func squaredFrechetDistance(to other: NormalDistribution) -> Double? {
        precondition(dimension == other.dimension)
        let size = dimension
        guard var (values, root) = BLAS.eigenvectors(ofSymmetric: covariance, size: size) else { return nil }
        // Rounding makes eigenvalues of zero negative. The rows of `root` are √λ·v, so that C₁ = rootᵀ·root.
        values = values.map { max($0, 0).squareRoot() }
        for k in 0..<size {
            for i in 0..<size { root[k * size + i] *= values[k] }
        }
        // root·C₂·rootᵀ has the eigenvalues of C₁^½·C₂·C₁^½.
        let half = BLAS.product(root, transposed: other.covariance, rows: size, columns: size, depth: size)
        let product = BLAS.product(half, transposed: root, rows: size, columns: size, depth: size)
        guard let mixed = BLAS.eigenvectors(ofSymmetric: product, size: size)?.values else { return nil }
        let between = zip(mean, other.mean).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
        func trace(_ matrix: [Double]) -> Double { (0..<size).reduce(0) { $0 + matrix[$1 * size + $1] } }
        let covariances =
            trace(covariance) + trace(other.covariance) - 2 * mixed.reduce(0) { $0 + max($1, 0).squareRoot() }
        // The difference of large numbers may be rounded below zero.
        return max(between + covariances, 0)
    }
}
