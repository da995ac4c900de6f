import CheckpointFormats
import FlowModel
import ModelFixtures
import ModelImport
import Networks
import Tensor
import TestFixtures
import Testing

/// Keeps the promise that imported networks give the numbers of the packages that define them.
@Suite("A published network")
struct PublishedNetworkTests {
    /// Those with numbers; the others have the weights of one of these.
    static let fixtures = FamilyFixture.all.filter { $0.sameWeightsAs == nil }
    /// Points of the grid at which the packages evaluated the networks.
    private static let evaluated = [0, 2, 4]

    @Test("gives its package's numbers, and its activations' means at every place", arguments: fixtures)
    func numbers(fixture: FamilyFixture) throws {
        try FamilyFixture.withUnpacked(fixture.name) { folder in
            let model = try CheckpointImport(
                path: folder.appending(path: fixture.source).path, settings: fixture.settings())
            let expected = try SafetensorsFile(path: folder.appending(path: "expected.safetensors").path)
            let evaluator = try evaluator(of: model, labels: Self.evaluated.map { Float(fixture.grid.tau[$0]) })
            let program = evaluator.field.program
            let input = try expected.floats(of: "input")
            for n in Self.evaluated.indices {
                let output = evaluate(evaluator, input, time: n)
                expectClose(output, try expected.floats(of: "output.\(n)"), "output.\(n)")
                let means = evaluator.takeMeans(ofImage: 0)
                for place in program.places {
                    let tensor = "mean.\(n).\(place)"
                    expectClose(means[ActivationMeans(place)]!, try expected.floats(of: tensor), tensor)
                }
            }
        }
    }

    /// What the fixtures call the first output without a class, or of weights without averaging.
    static let others: [(tensor: String, change: @Sendable (inout ImportSettings) -> Void)] = [
        ("output.null", { $0.classChoice = .null }), ("output.net_model", { $0.weights = .raw }),
        ("output.model", { $0.weights = .raw }),
    ]

    @Test("gives its package's numbers without a class, and without averaged weights", arguments: fixtures)
    func otherNumbers(fixture: FamilyFixture) throws {
        try FamilyFixture.withUnpacked(fixture.name) { folder in
            let expected = try SafetensorsFile(path: folder.appending(path: "expected.safetensors").path)
            for other in Self.others where expected[other.tensor] != nil {
                var settings = fixture.settings()
                other.change(&settings)
                let model = try CheckpointImport(
                    path: folder.appending(path: fixture.source).path, settings: settings)
                let evaluator = try evaluator(of: model, labels: [Float(fixture.grid.tau[0])])
                let output = evaluate(evaluator, try expected.floats(of: "input"), time: 0)
                expectClose(output, try expected.floats(of: other.tensor), other.tensor)
            }
        }
    }

    private func evaluate(_ evaluator: VelocityEvaluator, _ input: [Float], time: Int) -> [Float] {
        evaluator.setInput(
            0, planes: input, time: time, reading: Set(evaluator.field.program.places.map { ActivationMeans($0) }))
        evaluator.evaluate(batch: 1)
        var output = [Float](repeating: 0, count: evaluator.field.program.stateCount)
        evaluator.copyVelocity(0, into: &output)
        return output
    }

    private func evaluator(of model: CheckpointImport, labels: [Float]) throws -> VelocityEvaluator {
        let pool = WorkerPool(count: 2)
        let field = try VelocityField(model.configuration.network(), times: labels, pool: pool) {
            try model.weights(ModelFile.key(ofParameter: $0))
        }
        return VelocityEvaluator(field, capacity: 1, kernels: .best, pool: pool)
    }

    /// Within 2e-5 of the largest number.
    private func expectClose(_ found: [Float], _ expected: [Float], _ tensor: String) {
        let largest = expected.reduce(0) { max($0, abs($1)) }
        let error = zip(found, expected).reduce(0) { max($0, abs($1.0 - $1.1)) } / largest
        #expect(found.count == expected.count && error < 2e-5, "\(tensor): \(error)")
    }
}
