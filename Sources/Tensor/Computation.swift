/// What a model computes with.
public struct Computation: Sendable {
    /// The kernels; they compute in `precision`.
    public let kernels: Kernels
    /// The precision of products.
    public let precision: Precision
    /// The workers.
    public let pool: WorkerPool

    /// A computation of these parts.
    public init(kernels: Kernels, precision: Precision, pool: WorkerPool) {
        self.kernels = kernels
        self.precision = precision
        self.pool = pool
    }

    /// The same in another precision.
    public func computing(in precision: Precision) -> Computation {
        Computation(kernels: kernels, precision: precision, pool: pool)
    }
}
