import Machine
import Plotting
import ReverseODE
import Tensor

/// The time of a model's evaluation and of its whole reverse pass.
package struct NetworkBenchmark: TableRow {
    let model: String
    let batch: Int
    /// Milliseconds an image of one evaluation.
    let evaluation: Spread
    /// Evaluations of a pass.
    let evaluations: Int
    /// Milliseconds an image of the whole pass, the head included where the model has one.
    let pass: Spread
    /// Operations of the direct algorithm a second, from the median evaluation, in 10⁹.
    let effectiveGigaflops: Double
    /// Seconds to load the model and pack its weights.
    let loadSeconds: Double
    /// Bytes of activations and scratch.
    let activationBytes: Int

    /// Measures for about `seconds`, at least three passes, after one that is not counted.
    ///
    /// - Parameter name: what the row calls the model.
    package init(
        of model: ReversibleModel, name: String, loadSeconds: Double, batch: Int, seconds: Double,
        on computation: Computation
    ) throws {
        let integrator = ReverseIntegrator(
            model: model, capacity: batch, kernels: computation.kernels, pool: computation.pool)
        let end = try model.resolve(Tap(time: .end, place: .pooled))
        let input = Self.input(count: model.stateCount)
        var passes: [Double] = []
        var steps: [Double] = []
        let clock = ContinuousClock()
        let start = clock.now
        var isWarm = false
        while passes.count < 3 || start.duration(to: clock.now) < .seconds(seconds) {
            let began = clock.now
            var trajectories = (0..<batch).map { _ in
                integrator.trajectory(input: input, taps: [end], wantsLogits: model.head != nil)
            }
            let all = Array(trajectories.indices)
            while !trajectories[0].isFinished {
                let stepBegan = clock.now
                integrator.step(&trajectories, at: all)
                if isWarm { steps.append(stepBegan.duration(to: clock.now) / .milliseconds(1) / Double(batch)) }
            }
            if isWarm { passes.append(began.duration(to: clock.now) / .milliseconds(1) / Double(batch)) }
            isWarm = true
        }
        self.model = name
        self.batch = batch
        evaluation = Spread(steps)
        evaluations = model.evaluationsPerPass
        pass = Spread(passes)
        effectiveGigaflops = Double(model.field.program.floatingPointOperations()) / evaluation.median / 1e6
        self.loadSeconds = loadSeconds
        activationBytes = integrator.evaluator.byteCount
    }

    /// The input that everything is measured on, in -1...1.
    static func input(count: Int) -> [Float] { (0..<count).map { Float($0 * 7_919 % 2_003) / 1_000 - 1 } }
}

extension NetworkBenchmark {
    package static let columns = TextColumns([
        ("model", -12), ("batch", 5), ("evaluation", 26), ("GFLOP/s", 9), ("whole pass", 26), ("evals", 6),
        ("load s", 8), ("arena MiB", 10),
    ])

    package var cells: [String] {
        [
            model, "\(batch)", evaluation.text(), "\(Int(effectiveGigaflops))", pass.text(), "\(evaluations)",
            "\(rounded(loadSeconds))", "\(activationBytes >> 20)",
        ]
    }
}
