import FlowModel
import ModelFixtures
import ModelImport
import Networks
import ReverseODE
import Tensor
import TestFixtures
import Testing

#if canImport(Glibc)
    import Glibc
#endif

/// Keeps the promise that a pass of a network that predicts noise, by Euler's method, is DDIM inversion without clipping (Song et
/// al. 2021, equation 12 with η = 0, from step to later step).
@Suite("DDIM inversion")
struct DDIMInversionTests {
    static let fixtures = FamilyFixture.all.filter { $0.parametrisation == "epsilon" && $0.sameWeightsAs == nil }

    /// ᾱ at each timestep, by the definitions of Ho et al. 2020 and Nichol and Dhariwal 2021.
    private func cumulativeAlphas(_ schedule: FamilyFixture.Schedule) throws -> [Double] {
        let count = schedule.timesteps!
        func squaredCosine(_ t: Int) -> Double { pow(cos((Double(t) / Double(count) + 0.008) / 1.008 * .pi / 2), 2) }
        var product = 1.0
        return try (0..<count).map { t in
            let beta: Double
            switch schedule.kind {
            case "linear":
                let (start, end) = (schedule.betaStart!, schedule.betaEnd!)
                beta = start + (end - start) * Double(t) / Double(count - 1)
            case "cosine": beta = min(1 - squaredCosine(t + 1) / squaredCosine(t), 0.999)
            default: throw UnknownSchedule(kind: schedule.kind)
            }
            product *= 1 - beta
            return product
        }
    }

    private struct UnknownSchedule: Error { let kind: String }

    @Test("of each state of a pass by Euler's method, from the image to noise, is the next state", arguments: fixtures)
    func steps(fixture: FamilyFixture) throws {
        try expectInversion(fixture, grid: TimeGridConfiguration(count: 9)) { state, _ in state }
    }

    /// Networks of random weights make much of an error of rounding on the way to noise, so this way is shorter.
    @Test("of an image, state by state, is a pass by Euler's method", arguments: fixtures)
    func loop(fixture: FamilyFixture) throws {
        try expectInversion(fixture, grid: TimeGridConfiguration(count: 33, cutoff: 7)) { _, inverted in inverted }
    }

    /// Compares the states of a pass over a grid with those that DDIM inversion gives.
    ///
    /// - Parameter start: where a step of DDIM begins, given the state of the pass and what DDIM has come to.
    private func expectInversion(
        _ fixture: FamilyFixture, grid: TimeGridConfiguration,
        start: (_ pass: [Double], _ inverted: [Double]) -> [Double]
    ) throws {
        let pool = WorkerPool(count: 2)
        let model = try fixture.withImport { source in
            var configuration = source.configuration
            configuration.grid = grid
            return try ReversibleModel(configuration: configuration, pool: pool) { try source.weights($0) }
        }
        var generator = SeededGenerator(seed: 3)
        let image = generator.floats(model.stateCount)
        let taps = try model.grid.times.map { try model.resolve(Tap(time: .at($0), place: .state)) }
        let integrator = ReverseIntegrator(model: model, capacity: 1, kernels: .best, pool: pool)
        var passes = [integrator.trajectory(input: image, taps: taps, wantsLogits: false)]
        integrator.run(&passes)

        let alphas = try cumulativeAlphas(fixture.schedule)
        let steps = model.grid.times.map { Int($0) }
        let states = passes[0].features.map { $0.map(Double.init) }
        #expect(zip(states[0], image).allSatisfy { abs($0 - Double($1)) < 1e-6 })
        var inverted = states[0]
        for (index, (step, next)) in zip(steps, steps.dropFirst()).enumerated() {
            let x = start(states[index], inverted)
            let noise = noise(x.map { Float($0) }, at: index, of: integrator.evaluator)
            inverted = zip(x, noise).map { x, noise in
                let clean = (x - (1 - alphas[step]).squareRoot() * noise) / alphas[step].squareRoot()
                return alphas[next].squareRoot() * clean + (1 - alphas[next]).squareRoot() * noise
            }
            let largest = inverted.map(abs).max()!
            let error = zip(states[index + 1], inverted).map { abs($0 - $1) }.max()! / largest
            #expect(error < 2e-5, "\(error) at timestep \(next)")
        }
    }

    /// ε of a state, at a point of the grid.
    private func noise(_ state: [Float], at index: Int, of evaluator: VelocityEvaluator) -> [Double] {
        evaluator.setInput(0, planes: state, time: index)
        evaluator.evaluate(batch: 1)
        var output = state
        evaluator.copyVelocity(0, into: &output)
        return output.map(Double.init)
    }
}
