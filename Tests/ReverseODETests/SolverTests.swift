import FlowModel
import Testing

@testable import ReverseODE

@Suite("Solvers")
struct SolverTests {
    /// Integrates dx/da = f by the stages alone, as `Trajectory` does with a network.
    private func integrate(_ solver: Solver, steps: Int, _ f: (Double, Double) -> Double) -> Double {
        var x = 1.0
        let h = 1.0 / Double(steps)
        for k in 0..<steps {
            let a = Double(k) * h
            var previous = 0.0
            var increment = 0.0
            for stage in solver.stages {
                previous = f(a + h * Double(stage.node), x + h * Double(stage.previous) * previous)
                increment += Double(stage.weight) * previous
            }
            x += h * increment
        }
        return x
    }

    @Test(
        "A method's stages have its order of convergence",
        arguments: [(Solver.euler, 1), (.midpoint, 2), (.heun, 2), (.rk4, 4)])
    func order(solver: Solver, order: Int) {
        let f = { (a: Double, x: Double) in -2 * x + a }
        let exact = 1.25 * 0.1353352832366127 + 0.25
        let coarse = abs(integrate(solver, steps: 8, f) - exact)
        let fine = abs(integrate(solver, steps: 16, f) - exact)
        let ratio = coarse / fine
        let expected = Double(1 << order)
        // Weights such as 1/6 are f32, which limits how small rk4's error gets, not its ratio here.
        #expect(ratio > 0.7 * expected && ratio < 1.5 * expected, "\(ratio)")
    }

    @Test(
        "Every solver comes closer to a fine Euler pass than Euler on the same grid",
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
            let grid = TimeGrid(TimeGridConfiguration(count: 10, cutoff: 6), path: path)
            let schedule = Schedule(grid: grid, solver: solver)
            #expect(Set(schedule.times).count == schedule.times.count)
            let steps = grid.steps
            #expect(schedule.timeIndices.count == 2 * steps + 1)
            for (position, indices) in schedule.timeIndices.enumerated() {
                #expect(schedule.times[indices[0]] == grid.times[min(position, 2 * steps - position)])
            }
            // The way back needs no time that the way upstream doesn't.
            #expect(Set(schedule.timeIndices[0...steps].joined()).count == schedule.times.count)
        }
    }

    @Test("Grids are cut and turned as the reference does it")
    func grids() {
        let icfm = TimeGrid(TimeGridConfiguration(count: 9, cutoff: 5), path: .icfm)
        #expect(icfm.points == [0.625, 0.75, 0.875, 1])
        #expect(icfm.times == [1, 0.875, 0.75, 0.625])
        #expect(icfm.direction == -1)
        let gvp = TimeGrid(TimeGridConfiguration(count: 9, cutoff: 4), path: .gvp)
        #expect(gvp.times == [0, 0.125, 0.25, 0.375])
        #expect(gvp.direction == 1)
    }
}

@Suite("Taps")
struct TapTests {
    @Test(
        "Places read as they are written",
        arguments: ["state", "pooled", "head", "middle", "down.0", "down.12", "up.3"])
    func places(text: String) throws { #expect(try TapPlace(parsing: text).description == text) }

    @Test(
        "What is no place is refused",
        arguments: ["", "up", "up.", "up.-1", "up.x", "up.99999", "down.1.2", "State", "middle ", "up.٣"])
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
        #expect(throws: TapError.self) { try model.resolve(Tap(time: .end, place: .activation(.up(99)))) }
        let bare = try GoldenModel("pretrained-only-ddp").model
        #expect(throws: TapError.self) { try bare.resolve(Tap(time: .end, place: .head)) }
    }
}
