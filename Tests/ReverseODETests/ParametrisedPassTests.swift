import FlowModel
import Testing

@testable import ReverseODE

#if canImport(Glibc)
    import Glibc
#endif

@Suite("A pass of a parametrised flow")
struct ParametrisedPassTests {
    static let levels = NoiseSchedule.levels(smallest: 0.002, largest: 80, rho: 7)
    static let flows: [ParametrisedFlow] =
        [.edm, .edmReversed, .vp, .ve].map { ParametrisedFlow(prediction: $0, times: .noise(levels)) }
        + [.epsilon, .v, .sample].map {
            ParametrisedFlow(
                prediction: $0, times: .noise(.timesteps(.linear(count: 1000, start: 1e-4, end: 0.02))))
        }

    /// What a network that has learned numbers of deviation 0.5 answers, worked out from the best denoiser,
    /// D = x·0.25/(0.25 + σ²), and the definition of each prediction.
    private func output(_ prediction: Prediction, input: Double, c: Double, sigma: Double) -> Double {
        let x = input / c
        let denoised = x * 0.25 / (0.25 + sigma * sigma)
        let noise = (x - denoised) / sigma
        switch prediction {
        case .velocity: return 0
        case .epsilon, .vp: return noise
        case .ve: return -noise
        case .sample: return denoised
        case .v: return (noise - sigma * denoised) / (1 + sigma * sigma).squareRoot()
        case .edm, .edmReversed:
            // D = x·σd²/(σ² + σd²) + F·σ·σd/√(σ² + σd²); here the first term is all of it.
            return (denoised - x * 0.25 / (sigma * sigma + 0.25)) * (sigma * sigma + 0.25).squareRoot() / (sigma * 0.5)
        }
    }

    @Test("comes to where its ODE leads, whatever the network predicts", arguments: flows.indices, Solver.allCases)
    func solution(index: Int, solver: Solver) {
        let flow = Self.flows[index]
        let grid = TimeGrid(TimeGridConfiguration(count: 400), of: .parametrised(flow))
        let schedule = Schedule(grid: grid, solver: solver)
        var integration = Integration(from: [0.3], by: solver)
        for position in 0..<grid.steps {
            let step = grid.points[position + 1] - grid.points[position]
            var isComplete = false
            while !isComplete {
                let node = solver.stages[integration.stage].node
                let evaluation = schedule.evaluations[schedule.indices[position][integration.stage]]
                let sigma = Double(grid.points[position]) + Double(node) * Double(step)
                let input = Double(integration.input[0] * evaluation.c)
                isComplete = integration.advance(by: step, evaluation, isFirstInDirection: position == 0) {
                    $0[0] = Float(output(flow.prediction, input: input, c: Double(evaluation.c), sigma: sigma))
                }
            }
        }
        // dx/dσ = x·σ/(0.25 + σ²): x grows as √(0.25 + σ²).
        let (first, last) = (Double(grid.points[0]), Double(grid.points[grid.steps]))
        let expected = 0.3 * ((0.25 + last * last) / (0.25 + first * first)).squareRoot()
        let error = abs(Double(integration.state[0]) - expected) / expected
        #expect(error < (solver == .euler ? 0.05 : 0.002), "\(error)")
    }

    @Test(
        "reads states in units of constant variance, and begins with the image's own numbers", arguments: flows.indices)
    func units(index: Int) {
        let flow = Self.flows[index]
        let grid = TimeGrid(TimeGridConfiguration(count: 9), of: .parametrised(flow))
        for (unit, sigma) in zip(grid.units, grid.points) {
            let variance = Double(unit * unit) * (0.25 + Double(sigma * sigma))
            #expect((0.2...1.01).contains(variance), "\(variance) at \(sigma)")
        }
        #expect(abs(Double(grid.units[0] * grid.imageScale) * flow.imageScale - 1) < 1e-6)
        #expect(grid.noiseLevels == grid.points)
    }

    @Test("finds grid points by the source's own times, noise levels by their ratio")
    func times() throws {
        func taps(_ flow: ParametrisedFlow, points: Int = 18) throws -> AvailableTaps {
            try AvailableTaps(
                ModelConfiguration(
                    name: "tiny",
                    architecture: UNetArchitecture(
                        modelChannels: 32, residualBlocks: 1, channelMultipliers: [1], attentionDownsampling: [],
                        heads: 1, imageSize: 16),
                    head: nil, flow: .parametrised(flow), grid: TimeGridConfiguration(count: points),
                    preprocessing: .reference(imageSize: 16)))
        }
        func index(_ time: Float, _ taps: AvailableTaps) throws -> Int {
            try taps.resolve(Tap(time: .at(time), place: .state)).gridIndex
        }
        let edm = try taps(Self.flows[0])
        #expect(try index(0.002, edm) == 0 && index(0.007528, edm) == 1 && index(57.59, edm) == 16)
        #expect(throws: TapError.self) { try index(0.0025, edm) }
        #expect(throws: TapError.self) { try index(57, edm) }
        let epsilon = try taps(Self.flows[4])
        #expect(try index(0, epsilon) == 0 && index(929, epsilon) == 17 && index(55, epsilon) == 1)
        #expect(throws: TapError.self) { try index(56, epsilon) }
        #expect {
            try index(57, taps(Self.flows[4], points: 101))
        } throws: { "\($0)".contains("which has 101 points from 0.0 to ") && "\($0)".contains("; the nearest is 5") }
    }

    @Test("needs no evaluation between timesteps twice, and labels it by interpolation")
    func midpoints() {
        let grid = TimeGrid(TimeGridConfiguration(count: 5), of: .parametrised(Self.flows[4]))
        let schedule = Schedule(grid: grid, solver: .midpoint)
        #expect(Set(schedule.evaluations).count == schedule.evaluations.count)
        for position in 0..<grid.steps {
            let label = schedule.evaluations[schedule.indices[position][1]].label
            #expect(grid.times[position] < label && label < grid.times[position + 1])
        }
    }
}
