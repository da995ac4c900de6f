public import ReverseODE
public import Tensor

/// The last check before a model serves: a fixed input through a whole pass, every number of whose result must be finite.
public struct CheckpointSelfTest: Sendable {
    private let kernels: Kernels
    private let pool: WorkerPool

    /// Tests with the kernels and workers that the model will be served by; steps of requests take turns with the test's.
    public init(kernels: Kernels, pool: WorkerPool) {
        self.kernels = kernels
        self.pool = pool
    }

    /// Runs the test. Slow: for Dispatch threads.
    ///
    /// - Throws: `ModelLoadingError`, or `TapError` if the model's default tap is not its own.
    public func run(_ model: ReversibleModel) throws {
        let integrator = ReverseIntegrator(model: model, capacity: 1, kernels: kernels, pool: pool)
        // Any pattern of a normalised image's range will do, as long as neighbours differ.
        let input = (0..<model.stateCount).map { Float($0 &* 37 % 101) / 25 - 2 }
        var trajectories = [
            integrator.trajectory(input: input, taps: [try model.defaultTap()], wantsLogits: model.head != nil)
        ]
        integrator.run(&trajectories)
        let results = trajectories[0].features.joined() + (trajectories[0].logits ?? [])
        guard trajectories[0].isFinite, results.allSatisfy(\.isFinite) else {
            throw ModelLoadingError(description: "a pass over the self-test's input gives numbers that are not finite")
        }
    }
}
