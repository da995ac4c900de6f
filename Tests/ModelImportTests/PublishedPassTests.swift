import CheckpointFormats
import FlowModel
import ModelFixtures
import Networks
import Tensor
import TestFixtures
import Testing

@testable import ModelImport
@testable import ReverseODE

/// Relative to the largest number, as the tests of the reference's own models have it.
private let tolerance: Float = 2e-5

@Suite("Passes of imported models")
struct PublishedPassTests {
    /// An imported fixture, ready to be evaluated at the points of its grid, and what its package computes.
    private struct Family {
        let evaluator: VelocityEvaluator
        let expected: SafetensorsFile
        let count: Int
        let fixture: FamilyFixture

        init(_ fixture: FamilyFixture) throws {
            self.fixture = fixture
            let pool = WorkerPool(count: 2)
            (evaluator, expected) = try FamilyFixture.withUnpacked(fixture.name) { folder in
                let model = try CheckpointImport(
                    path: folder.appending(path: fixture.source).path, settings: fixture.settings())
                let field = try VelocityField(
                    model.configuration.network(), times: fixture.grid.tau.map { Float($0) }, pool: pool,
                    parameters: { try model.weights(ModelFile.key(ofParameter: $0)) })
                return (
                    VelocityEvaluator(field, capacity: 1, kernels: .best, pool: pool),
                    try SafetensorsFile(path: folder.appending(path: "expected.safetensors").path)
                )
            }
            count = evaluator.field.program.stateCount
        }

        func error(of found: [Float], _ key: String, from first: Int = 0) throws -> Float {
            let wanted = Array(try expected.floats(of: key)[first..<first + found.count])
            let largest = wanted.map(abs).max()!
            return zip(found, wanted).map { abs($0 - $1) }.max()! / largest
        }

        /// The states of a pass over the fixture's points.
        ///
        /// - Parameter noise: changes each number of the network's output at random by up to that share of the largest.
        func states(by solver: Solver, noise: Float = 0) throws -> [[Float]] {
            var generator = SeededGenerator(seed: 1)
            let grid = fixture.grid
            let input = try expected.floats(of: "input")
            var integration = Integration(from: input.map { $0 / Float(grid.c[0]) }, by: solver)
            var states = [integration.state]
            for position in 0..<grid.s.count - 1 {
                var isComplete = false
                while !isComplete {
                    let point = position + Int(solver.stages[integration.stage].node)
                    let evaluation = Evaluation(
                        FlowPoint(a: grid.a[point], b: grid.b[point], c: grid.c[point], label: grid.tau[point]))
                    evaluator.setInput(0, planes: integration.input, scale: evaluation.c, time: point)
                    evaluator.evaluate(batch: 1)
                    isComplete = integration.advance(
                        by: Float(grid.s[position + 1] - grid.s[position]), evaluation,
                        isFirstInDirection: position == 0
                    ) { output in
                        evaluator.copyVelocity(0, into: output)
                        guard noise > 0 else { return }
                        let largest = (0..<count).map { abs(output[$0]) }.max()!
                        for i in 0..<count { output[i] += .random(in: -noise...noise, using: &generator) * largest }
                    }
                }
                states.append(integration.state)
            }
            return states
        }
    }

    /// An evaluation in single precision is off by a few millionths. A few long steps may make much of that, with random weights
    /// above all, which the pass with noise of that size shows: its distance from the pass without is the yardstick.
    @Test(
        "come to the states of the package and the formula, by Euler's and Heun's methods",
        arguments: FamilyFixture.all, [Solver.euler, .heun])
    func passes(fixture: FamilyFixture, solver: Solver) throws {
        let family = try Family(fixture)
        let (found, noisy) = (try family.states(by: solver), try family.states(by: solver, noise: 4e-6))
        for i in solver == .euler ? Array(found.indices) : [found.count - 1] {
            let largest = found[i].map(abs).max()!
            let amplified = zip(found[i], noisy[i]).map { abs($0 - $1) }.max()! / largest
            let error = try family.error(
                of: found[i], "\(solver)", from: solver == .euler ? i * family.count : 0)
            #expect(error <= max(tolerance, 2 * amplified) && amplified < 0.01, "\(error) at point \(i), \(amplified)")
        }
    }
}
