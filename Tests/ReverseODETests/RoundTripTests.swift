import FlowModel
import Networks
import Tensor
import Testing

@testable import ReverseODE

@Suite("Upstream and back")
struct RoundTripTests {
    /// The states of a round trip of the first golden input.
    private func states(of golden: GoldenModel) throws -> (taps: [ResolvedTap], states: [[Float]], evaluations: Int) {
        let integrator = golden.integrator(capacity: 1)
        let taps = golden.model.roundTripTaps(atMost: 64)
        var trajectories = [integrator.trajectory(input: try golden.input(0), taps: taps, wantsLogits: false)]
        integrator.run(&trajectories)
        #expect(trajectories[0].isFinished && trajectories[0].isFinite)
        return (taps, trajectories[0].features, trajectories[0].evaluations)
    }

    @Test("The way upstream is the pass without a way back, bit for bit", arguments: ["icfm32", "gvp64-cutoff"])
    func upstream(name: String) throws {
        let golden = try GoldenModel(name)
        let times = golden.model.grid.times
        let (taps, states, evaluations) = try states(of: golden)
        #expect(taps.map(\.time) == times + times.reversed())
        #expect(evaluations == 2 * golden.model.evaluationsPerPass)
        let integrator = golden.integrator(capacity: 1)
        let alone = try times.map { try golden.model.resolve(Tap(time: .at($0), place: .state)) }
        var trajectories = [integrator.trajectory(input: try golden.input(0), taps: alone, wantsLogits: false)]
        integrator.run(&trajectories)
        #expect(Array(states.prefix(times.count)) == trajectories[0].features)
        #expect(states[times.count] == states[times.count - 1])
    }

    @Test(
        "A step back is an Euler step with the velocity at the point it leaves",
        arguments: ["icfm32", "otcfm32-cutoff", "gvp64-cutoff"])
    func definition(name: String) throws {
        let golden = try GoldenModel(name)
        let model = golden.model
        let count = model.grid.times.count
        let downstream = Array(try states(of: golden).states[count...])
        // The velocity at a state and time is what one step upstream from there would add: taken from an evaluator itself.
        let evaluator = VelocityEvaluator(model.field, capacity: 1, kernels: .best, pool: golden.pool)
        for step in 0..<count - 1 {
            let (from, to) = (count - 1 - step, count - 2 - step)
            let time = try #require(model.field.times.firstIndex(of: model.grid.times[from]))
            downstream[step].withUnsafeBufferPointer { evaluator.setInput(0, planes: $0.baseAddress!, time: time) }
            evaluator.evaluate(batch: 1)
            var velocity = [Float](repeating: 0, count: model.stateCount)
            velocity.withUnsafeMutableBufferPointer { evaluator.copyVelocity(0, into: $0.baseAddress!) }
            // Data lie at t = 1 on icfm and otcfm paths, at t = 0 on gvp ones: either way the model's time runs to them.
            let length = model.grid.times[to] - model.grid.times[from]
            let expected = zip(downstream[step], velocity).map { $0 + length * $1 }
            #expect(relativeError(downstream[step + 1], expected) < 1e-6, "step \(step)")
        }
    }

    @Test("A finer grid or a better method brings the image back more exactly", arguments: [Solver.heun, .rk4, .ab2])
    func convergence(solver: Solver) throws {
        func error(_ solver: Solver, refinement: Int = 1) throws -> Double {
            let golden = try GoldenModel("pretrained-only-ddp", solver: solver, gridRefinement: refinement)
            return relativeError(try #require(try states(of: golden).states.last), try golden.input(0))
        }
        let euler = try error(.euler)
        #expect(try error(.euler, refinement: 4) < 0.4 * euler)
        #expect(try error(solver) < 0.5 * euler)
    }

    @Test("A long grid shows as many states as allowed, both ends among them")
    func selection() throws {
        let golden = try GoldenModel("pretrained-only-ddp", gridRefinement: 16)
        let times = golden.model.grid.times
        for count in [2, 3, 7, 64] {
            let taps = golden.model.roundTripTaps(atMost: count)
            #expect(taps.count == 2 * min(count, times.count))
            #expect(taps.first?.time == times.first && taps.last?.time == times.first)
            #expect(taps[taps.count / 2].time == times.last && taps[taps.count / 2].direction == .downstream)
            #expect(Set(taps).count == taps.count)
        }
    }

    @Test("Activations and logits are read on the way too, at the end of the grid once")
    func mixedTaps() throws {
        let golden = try GoldenModel("icfm32")
        let model = golden.model
        let middle = TapPlace.activation(ActivationMeans(.middle))
        let taps = try [
            Tap(time: .end, place: middle), Tap(time: .end, place: middle, direction: .downstream),
            Tap(time: .at(1), place: middle), Tap(time: .at(1), place: middle, direction: .downstream),
        ].map { try model.resolve($0) }
        let integrator = golden.integrator(capacity: 2)
        var trajectories = [
            integrator.trajectory(input: try golden.input(0), taps: taps, wantsLogits: true),
            integrator.trajectory(input: try golden.input(0), taps: [], wantsLogits: true),
        ]
        integrator.run(&trajectories)
        #expect(trajectories[0].logits == trajectories[1].logits && trajectories[0].logits != nil)
        let features = trajectories[0].features
        #expect(features.allSatisfy { $0.count == taps[0].dimension })
        #expect(features[0] == features[1] && features[2] != features[3])
        #expect(trajectories[0].evaluations == 2 * model.evaluationsPerPass + 1)
    }
}
