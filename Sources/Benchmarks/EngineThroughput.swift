import FeatureService
import Machine
import ReverseODE
import Tensor

/// How many images a second the engine computes with nothing around it, batch after full batch, of what `/embed` computes
/// by default.
@MainActor
struct EngineThroughput {
    private let model: ReversibleModel
    private let batch: Int
    private let integrator: ReverseIntegrator
    private var images = 0
    private var seconds = 0.0
    private var processorSeconds = 0.0
    /// Images a second of each turn.
    private(set) var rounds: [Double] = []

    init(served: ServedModel, batch: Int, on computation: Computation) {
        model = served.model
        self.batch = batch
        integrator = ReverseIntegrator(
            model: model, capacity: batch, kernels: computation.kernels, pool: computation.pool)
    }

    /// Images a second over all turns.
    var imagesPerSecond: Double { seconds > 0 ? Double(images) / seconds : 0 }

    /// Processor milliseconds an image over all turns.
    var processorMilliseconds: Double { images > 0 ? processorSeconds * 1000 / Double(images) : 0 }

    /// Computes for about `seconds`, after one batch that isn't counted.
    mutating func measure(seconds limit: Double) throws {
        let tap = try model.defaultTap()
        let input = NetworkBenchmark.input(count: model.stateCount)
        let clock = ContinuousClock()
        func pass() {
            var trajectories = (0..<batch).map { _ in
                integrator.trajectory(input: input, taps: [tap], wantsLogits: false)
            }
            integrator.run(&trajectories)
        }
        pass()
        let start = clock.now
        let processorBefore = ProcessorTime.seconds
        var computed = 0
        repeat {
            try Task.checkCancellation()
            pass()
            computed += batch
        } while start.duration(to: clock.now) < .seconds(limit)
        let elapsed = start.duration(to: clock.now) / .seconds(1)
        images += computed
        seconds += elapsed
        rounds.append(Double(computed) / elapsed)
        processorSeconds += ProcessorTime.seconds - processorBefore
    }
}
