private import Dispatch
import Machine
import ReverseODE
import Tensor

/// A serial executor over a Dispatch queue of its own: what runs on it may compute for as long as it likes without
/// holding up the cooperative pool, on which every other task of the process runs.
final class EngineExecutor: SerialExecutor {
    private let queue = DispatchQueue(label: "headwater.engine", qos: .userInitiated)

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        queue.async { job.runSynchronously(on: self.asUnownedSerialExecutor()) }
    }
}

/// Carries out steps: owns each model's memory for activations. It decides nothing.
actor Engine {
    private let executor = EngineExecutor()
    nonisolated let kernels: Kernels
    private let pool: WorkerPool
    private let batchLimit: Int
    private var integrators: [ObjectIdentifier: ReverseIntegrator] = [:]

    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    init(kernels: Kernels, pool: WorkerPool, batchLimit: Int) {
        self.kernels = kernels
        self.pool = pool
        self.batchLimit = batchLimit
    }

    /// Allocates a model's memory and runs one full batch of the given input through one evaluation, so that no request
    /// pays for page faults.
    ///
    /// - Returns: the first image's trajectory after its first step, for a check, and the floating-point operations of all.
    func warmUp(_ served: ServedModel) throws(TapError) -> (Trajectory, operations: Double) {
        let integrator = integrator(for: served)
        let input = [Float](repeating: 0, count: served.model.stateCount)
        let tap = try served.model.resolve(Tap(time: .at(served.model.grid.times[1]), place: .state))
        var trajectories = (0..<batchLimit).map { _ in
            integrator.trajectory(input: input, taps: [tap], wantsLogits: false)
        }
        let operations = trajectories.reduce(0) { $0 + $1.remainingOperations(model: served.model) }
        integrator.run(&trajectories)
        return (trajectories[0], operations)
    }

    /// Starts trajectories and advances them together with those under way by one evaluation.
    ///
    /// - Returns: all of them, in the same order.
    func step(_ trajectories: sending [Trajectory], of served: ServedModel) -> sending [Trajectory] {
        let integrator = integrator(for: served)
        var advanced = trajectories
        integrator.step(&advanced, at: advanced.indices.filter { !advanced[$0].isFinished })
        return advanced
    }

    func release(_ served: ServedModel) {
        integrators[ObjectIdentifier(served)] = nil
        ProcessMemory.scheduleTrim()
    }

    private func integrator(for served: ServedModel) -> ReverseIntegrator {
        let key = ObjectIdentifier(served)
        if let integrator = integrators[key] { return integrator }
        let integrator = ReverseIntegrator(model: served.model, capacity: batchLimit, kernels: kernels, pool: pool)
        integrators[key] = integrator
        return integrator
    }
}
