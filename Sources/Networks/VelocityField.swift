public import Layers
public import Tensor

/// A velocity network v(t, x) ready to be evaluated: its weights packed for this processor's kernels, and its modulations
/// computed for the times at which it will be evaluated. Immutable; any number of evaluators may share it.
public final class VelocityField: Sendable {
    /// What is evaluated.
    public let program: NetworkProgram
    /// The times at which it can be evaluated.
    public let times: [Float]
    /// What its products are computed in.
    public let precision: Precision

    let operations: [PackedOperation]
    let modulations: ModulationTable
    /// Bytes of weights as they were packed.
    private let weightBytes: Int

    /// Packs the weights.
    /// - Parameters:
    ///   - times: distinct times at which the network will be evaluated; images name them by index.
    ///   - precision: what its products are computed in.
    ///   - kernels: what embeds the times.
    ///   - pool: workers that share the packing.
    ///   - parameters: gives each of the program's parameters; what it throws is rethrown.
    public init(
        _ program: NetworkProgram, times: [Float], precision: Precision = .f32, kernels: Kernels = .best,
        pool: WorkerPool, parameters: ParameterSource
    ) throws {
        self.program = program
        self.times = times
        self.precision = precision
        let embedding = try program.timeEmbedding.activated(times: times, kernels: kernels, parameters: parameters)
        operations = try zip(program.operations, program.recordsMoments).map {
            try PackedOperation(
                $0, recordsMoments: $1, precision: precision, pool: pool, parameters: parameters)
        }
        modulations = try ModulationTable(
            program.modulations, timeCount: times.count, embedding: embedding, kernels: kernels, parameters: parameters)
        weightBytes = program.plans(batch: 1, in: precision, on: pool).reduce(0) { $0 + $1.plan.weightBytes }
    }

    /// Whether in batches of `batch` images, all of which are wanted whole, each of `workers` evaluates images of its own, rather
    /// than all of them sharing every operation.
    public func isDividedByImages(batch: Int, workers: Int) -> Bool {
        Self.isDividedByImages(batch: batch, workers: workers, weightBytes: weightBytes)
    }

    /// Workers with images of their own each read all weights. That costs nothing where these stay in a shared cache; where
    /// they don't, several images a worker must make up for it, or many workers would wait for the memory.
    static func isDividedByImages(batch: Int, workers: Int, weightBytes: Int) -> Bool {
        guard workers > 1, batch % workers == 0 else { return false }
        return batch / workers >= 4 || weightBytes <= Kernels.best.costs.shared_cache
    }

    /// How every operation is computed in batches of `batch` images on `pool`, by key, in order; where they are divided by
    /// images, by one worker.
    public func plans(batch: Int, on pool: WorkerPool) -> [(key: String, plan: LayerPlan)] {
        let isDivided = isDividedByImages(batch: batch, workers: pool.count)
        return program.plans(
            batch: isDivided ? batch / pool.count : batch, in: precision,
            on: isDivided ? WorkerPool(count: 1, domains: .undivided) : pool)
    }
}
