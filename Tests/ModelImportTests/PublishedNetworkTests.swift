import CheckpointFormats
import FlowModel
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
                evaluator.setInput(0, planes: input, time: n)
                evaluator.evaluate(batch: 1)
                var output = [Float](repeating: 0, count: program.stateCount)
                evaluator.copyVelocity(0, into: &output)
                expectClose(output, try expected.floats(of: "output.\(n)"), "output.\(n)")
                for place in program.places {
                    let tensor = "mean.\(n).\(place)"
                    expectClose(evaluator.spatialMeans(place, image: 0), try expected.floats(of: tensor), tensor)
                }
            }
        }
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
