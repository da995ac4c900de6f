import FlowModel
import Networks
import Testing

@testable import ReverseODE

@Suite("Solvers")
struct SolverTests {
    /// Integrates dx/da = -x·(1 + a) from x(0) = 1 over 0...1 in `steps` steps, even or alternately short and long ones, stage by
    /// stage, as `Trajectory` does with a network's velocities. The solution is exp(-a - a²/2).
    private func integrate(_ solver: Solver, steps: Int, isEven: Bool) -> Double {
        let lengths = (0..<steps).map { Float(isEven ? 1 : $0 % 2 == 0 ? 0.5 : 1.5) / Float(steps) }
        var integration = Integration(from: [1], by: solver)
        var start: Float = 0
        for (position, length) in lengths.enumerated() {
            var isComplete = false
            while !isComplete {
                let a = start + length * solver.stages[integration.stage].node
                let x = integration.input[0]
                isComplete = integration.advance(
                    by: length, Evaluation(label: a), isFirstInDirection: position == 0
                ) { $0[0] = -x * (1 + a) }
            }
            start += length
        }
        return Double(integration.state[0])
    }

    @Test(
        "A method has its order of convergence, on even and on uneven grids",
        arguments: [(solver: Solver.euler, order: 1), (.midpoint, 2), (.heun, 2), (.ab2, 2), (.rk4, 4)], [true, false])
    func order(method: (solver: Solver, order: Int), isEven: Bool) {
        // Few steps for rk4, whose errors would otherwise come near f32's rounding.
        let steps = method.order == 4 ? 4 : 8
        let errors = [steps, 2 * steps].map { abs(integrate(method.solver, steps: $0, isEven: isEven) - 0.22313016) }
        let ratio = errors[0] / errors[1]
        let expected = Double(1 << method.order)
        #expect(ratio > 0.8 * expected && ratio < 1.35 * expected, "\(ratio), not about \(expected)")
    }

    @Test(
        "A step of no length, as between repeated timesteps, changes nothing and doesn't harm the next",
        arguments: Solver.allCases)
    func repeatedPoint(solver: Solver) {
        func end(_ lengths: [Float]) -> Float {
            var integration = Integration(from: [1], by: solver)
            for (position, length) in lengths.enumerated() {
                var isComplete = false
                while !isComplete {
                    isComplete = integration.advance(
                        by: length, Evaluation(label: 0), isFirstInDirection: position == 0
                    ) { $0[0] = -2 }
                }
            }
            return integration.state[0]
        }
        #expect(abs(end([0.25, 0, 0.25]) - end([0.25, 0.25])) < 1e-6)
    }

    @Test(
        "Every solver comes closer to a fine pass than Euler on the same grid",
        arguments: [Solver.heun, .midpoint, .rk4, .ab2])
    func closerThanEuler(solver: Solver) throws {
        func end(_ solver: Solver, refinement: Int = 1) throws -> [Float] {
            let golden = try GoldenModel("pretrained-only-ddp", solver: solver, gridRefinement: refinement)
            let integrator = golden.integrator(capacity: 1)
            let tap = try golden.model.resolve(Tap(time: .end, place: .state))
            var trajectories = [integrator.trajectory(input: try golden.input(0), taps: [tap], wantsLogits: false)]
            integrator.run(&trajectories)
            #expect(trajectories[0].evaluations == golden.model.evaluationsPerPass)
            return trajectories[0].features[0]
        }
        let reference = try end(.rk4, refinement: 8)
        let euler = relativeError(try end(.euler), reference)
        let other = relativeError(try end(solver), reference)
        #expect(other < 0.5 * euler, "\(other) against Euler's \(euler)")
    }

    @Test("The schedule asks for each time once and for the grid's own points exactly", arguments: Solver.allCases)
    func schedule(solver: Solver) {
        for path in ProbabilityPath.allCases {
            let grid = TimeGrid(TimeGridConfiguration(count: 10, cutoff: 6), of: .path(path))
            let schedule = Schedule(grid: grid, solver: solver)
            #expect(Set(schedule.evaluations).count == schedule.evaluations.count)
            let steps = grid.steps
            #expect(schedule.indices.count == 2 * steps + 1)
            for (position, indices) in schedule.indices.enumerated() {
                #expect(schedule.evaluations[indices[0]].label == grid.times[min(position, 2 * steps - position)])
            }
            // The way back needs no time that the way upstream doesn't.
            #expect(Set(schedule.indices[0...steps].joined()).count == schedule.evaluations.count)
        }
    }

    @Test("Grids are cut and turned as the reference does it")
    func grids() {
        let icfm = TimeGrid(TimeGridConfiguration(count: 9, cutoff: 5), of: .path(.icfm))
        #expect(icfm.points == [0.625, 0.75, 0.875, 1])
        #expect(icfm.times == [1, 0.875, 0.75, 0.625])
        #expect(icfm.direction == -1)
        let gvp = TimeGrid(TimeGridConfiguration(count: 9, cutoff: 4), of: .path(.gvp))
        #expect(gvp.times == [0, 0.125, 0.25, 0.375])
        #expect(gvp.direction == 1)
    }
}

@Suite("Taps")
struct TapTests {
    @Test(
        "Places read as they are written",
        arguments: ["state", "pooled", "head", "middle", "down.0", "down.12", "up.3", "middle:2x2", "up.10:16x16"])
    func places(text: String) throws { #expect(try TapPlace(parsing: text).description == text) }

    @Test(
        "What is no place is refused",
        arguments: [
            "", "up", "up.", "up.-1", "up.x", "up.99999", "down.1.2", "State", "middle ", "up.٣",
            "pooled:2x2", "middle:", "middle:2", "middle:0x0", "middle:02x02", "middle:2x3", "middle:-2x-2",
            "middle:2x2x2",
            "up.1:2x2:2x2", "middle:99999x99999", "middle:٢x٢", "middle:+2x+2",
        ])
    func badPlaces(text: String) { #expect(throws: TapError.self) { try TapPlace(parsing: text) } }

    @Test("What is no time is refused", arguments: ["", "start", "nan", "inf", "1e400", "0.5.5"])
    func badTimes(text: String) { #expect(throws: TapError.self) { try TapTime(parsing: text) } }

    @Test("A time off the grid is refused with the grid; three digits suffice to name a point on it")
    func timesOnGrid() throws {
        let model = try GoldenModel("icfm32").model
        let tap = try model.resolve(Tap(time: .at(0.571), place: .pooled))
        #expect(tap.gridIndex == 3 && tap.dimension == 768)
        #expect(try model.resolve(Tap(time: .end, place: .pooled)).gridIndex == 7)
        #expect {
            try model.resolve(Tap(time: .at(0.6), place: .pooled))
        } throws: { "\($0)".contains("0.6 is not on this model's grid") && "\($0)".contains("0.42857") }
        #expect(throws: TapError.self) {
            try model.resolve(Tap(time: .end, place: .activation(ActivationMeans(.up(99)))))
        }
        #expect(
            try model.resolve(Tap(time: .end, place: TapPlace(parsing: "middle:1x1"))).place
                == TapPlace(parsing: "middle"))
        #expect {
            try model.resolve(Tap(time: .end, place: TapPlace(parsing: "middle:99x99")))
        } throws: { "\($0)".contains("middle can be divided up to ") }
        let bare = try GoldenModel("pretrained-only-ddp").model
        #expect(throws: TapError.self) { try bare.resolve(Tap(time: .end, place: .head)) }
    }
}
