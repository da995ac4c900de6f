import Machine
import Plotting
import ReverseODE
import Tensor

/// Times a model's evaluation and its whole reverse pass.
public struct NetworkBenchmark {
    /// One row of the table.
    public struct Measurement: Codable, Sendable {
        /// Model measured.
        public let model: String
        /// Images in the batch.
        public let batch: Int
        /// Milliseconds an image of one evaluation.
        public let evaluation: Spread
        /// Evaluations of a pass.
        public let evaluations: Int
        /// Milliseconds an image of the whole pass, the head included where the model has one.
        public let pass: Spread
        /// Operations of the direct algorithm a second, from the median evaluation, in 10⁹.
        public let effectiveGigaflops: Double
        /// Seconds to load the model and pack its weights.
        public let loadSeconds: Double
        /// Bytes of activations and scratch.
        public let activationBytes: Int
    }

    private let name: String
    private let model: ReversibleModel
    private let loadSeconds: Double
    private let kernels: Kernels
    private let pool: WorkerPool

    /// - Parameters:
    ///   - name: what rows call the model.
    ///   - loadSeconds: how long it took to load.
    public init(name: String, model: ReversibleModel, loadSeconds: Double, kernels: Kernels, pool: WorkerPool) {
        self.name = name
        self.model = model
        self.loadSeconds = loadSeconds
        self.kernels = kernels
        self.pool = pool
    }

    /// Measures one batch size for about `seconds`, at least three times, after one run that is not counted.
    public func measure(batch: Int, seconds: Double) throws -> Measurement {
        let integrator = ReverseIntegrator(model: model, capacity: batch, kernels: kernels, pool: pool)
        let end = try model.resolve(Tap(time: .end, place: .pooled))
        let input = Self.input(count: model.stateCount)
        var passes: [Double] = []
        var steps: [Double] = []
        let clock = ContinuousClock()
        let start = clock.now
        var isWarm = false
        while passes.count < 3 || start.duration(to: clock.now) < .seconds(seconds) {
            var trajectories: [Trajectory] = []
            let began = clock.now
            for _ in 0..<batch {
                trajectories.append(
                    integrator.trajectory(input: input, taps: [end], wantsLogits: model.head != nil))
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
        let evaluation = Spread(steps)
        return Measurement(
            model: name, batch: batch, evaluation: evaluation, evaluations: model.evaluationsPerPass,
            pass: Spread(passes),
            effectiveGigaflops: Double(model.field.program.floatingPointOperations) / evaluation.median / 1e6,
            loadSeconds: loadSeconds, activationBytes: integrator.byteCount)
    }

    /// The input that everything is measured on, in -1...1.
    static func input(count: Int) -> [Float] { (0..<count).map { Float($0 * 7_919 % 2_003) / 1_000 - 1 } }
}

extension NetworkBenchmark.Measurement {
    /// The table's first line.
    public static let tableHead =
        "model".padded(12) + "batch".leftPadded(5) + "evaluation".leftPadded(26) + "GFLOP/s".leftPadded(9)
        + "whole pass".leftPadded(26) + "evals".leftPadded(6) + "load s".leftPadded(8) + "arena MiB".leftPadded(10)

    /// The row's line.
    public var tableRow: String {
        model.padded(12) + "\(batch)".leftPadded(5) + evaluation.text().leftPadded(26)
            + "\(Int(effectiveGigaflops))".leftPadded(9) + pass.text().leftPadded(26)
            + "\(evaluations)".leftPadded(6) + "\(rounded(loadSeconds))".leftPadded(8)
            + "\(activationBytes >> 20)".leftPadded(10)
    }
}
