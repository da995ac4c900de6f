import FlowModel
import FoundationEssentials
import ReverseODE
import Tensor

/// Times a model's evaluation and its whole reverse pass.
struct Benchmark {
    /// One row of the table.
    struct Measurement: Codable, Sendable {
        /// Model measured.
        let model: String
        /// Images in the batch.
        let batch: Int
        /// Medians, milliseconds an image.
        let evaluation: Spread
        /// Evaluations of a pass.
        let evaluations: Int
        /// Milliseconds an image of the whole pass, the head included where the model has one.
        let pass: Spread
        /// Operations of the direct algorithm a second, from the median evaluation.
        let effectiveGigaflops: Double
        /// Seconds to pack the weights.
        let loadSeconds: Double
        /// Bytes of activations and scratch.
        let activationBytes: Int
    }

    /// Median and extremes of several runs.
    struct Spread: Codable, Sendable {
        let median: Double
        let least: Double
        let greatest: Double

        init(_ values: [Double]) {
            let sorted = values.sorted()
            median = sorted[sorted.count / 2]
            least = sorted[0]
            greatest = sorted[sorted.count - 1]
        }
    }

    let name: String
    let model: ReversibleModel
    let loadSeconds: Double
    let kernels: Kernels
    let pool: WorkerPool

    /// Measures one batch size for about `seconds`, at least three times, after one run that is not counted.
    func measure(batch: Int, seconds: Double) throws -> Measurement {
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
                if isWarm { steps.append(milliseconds(stepBegan.duration(to: clock.now)) / Double(batch)) }
            }
            if isWarm { passes.append(milliseconds(began.duration(to: clock.now)) / Double(batch)) }
            isWarm = true
        }
        let evaluation = Spread(steps)
        return Measurement(
            model: name, batch: batch, evaluation: evaluation, evaluations: model.evaluationsPerPass,
            pass: Spread(passes),
            effectiveGigaflops: Double(model.field.program.floatingPointOperations) / evaluation.median / 1e6,
            loadSeconds: loadSeconds, activationBytes: integrator.byteCount)
    }

    private func milliseconds(_ duration: Duration) -> Double { duration / .milliseconds(1) }

    /// Networks to be measured with random weights: the published ones (PRG, section 1), and one of the bundled model's
    /// size.
    static let networks: [(name: String, architecture: UNetArchitecture, batches: [Int])] = [
        (
            "u32",
            UNetArchitecture(
                modelChannels: 128, residualBlocks: 3, channelMultipliers: [1, 2, 2, 2],
                attentionDownsampling: [2, 4], heads: 4, imageSize: 32), [1, 8]
        ),
        (
            "u64",
            UNetArchitecture(
                modelChannels: 128, residualBlocks: 3, channelMultipliers: [1, 2, 3, 4],
                attentionDownsampling: [4, 8], heads: 4, imageSize: 64), [1, 4]
        ),
        (
            "small",
            UNetArchitecture(
                modelChannels: 32, residualBlocks: 1, channelMultipliers: [1, 2, 4],
                attentionDownsampling: [4], heads: 4, imageSize: 32), [1, 8]
        ),
    ]

    /// The input that everything is measured on, in -1...1.
    static func input(count: Int) -> [Float] { (0..<count).map { Float($0 * 7_919 % 2_003) / 1_000 - 1 } }

    /// A model with random weights whose activations stay of order one, without a head.
    static func random(
        _ architecture: UNetArchitecture, name: String, evaluations: Int, precision: Precision, kernels: Kernels,
        pool: WorkerPool
    ) throws -> ReversibleModel {
        let configuration = configuration(architecture, name: name, evaluations: evaluations)
        let weights = try randomWeights(configuration)
        return try ReversibleModel(
            configuration: configuration, precision: precision, kernels: kernels, pool: pool
        ) { weights($0) }
    }

    /// Writes such a model to a file, the same bytes every time.
    static func writeRandom(
        _ architecture: UNetArchitecture, name: String, evaluations: Int, to path: String
    ) throws {
        let configuration = configuration(architecture, name: name, evaluations: evaluations)
        let weights = try randomWeights(configuration)
        try ModelFile.write(configuration, to: path) { weights($0) }
    }

    static func configuration(
        _ architecture: UNetArchitecture, name: String, evaluations: Int
    ) -> ModelConfiguration {
        ModelConfiguration(
            name: name, architecture: architecture, head: nil, path: .icfm,
            grid: TimeGridConfiguration(count: evaluations + 1, cutoff: nil),
            preprocessing: .reference(imageSize: architecture.imageSize))
    }

    private static func randomWeights(
        _ configuration: ModelConfiguration
    ) throws -> @Sendable (_ key: String) -> [Float] {
        let shapes = Dictionary(
            uniqueKeysWithValues: try ModelFile.parameters(of: configuration).map { ($0.key, $0.shape) })
        return { key in
            let shape = shapes[key]!
            let count = shape.reduce(1, *)
            let bound = shape.count == 1 ? Float(0.1) : (3 / Float(count / shape[0])).squareRoot()
            var state = UInt32(truncatingIfNeeded: key.utf8.reduce(2_166_136_261) { ($0 ^ Int($1)) &* 16_777_619 })
            return (0..<count).map { _ in
                state = state &* 1_664_525 &+ 1_013_904_223
                return (Float(state >> 8) / Float(1 << 23) - 1) * bound
            }
        }
    }
}
