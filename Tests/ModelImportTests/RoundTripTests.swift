import FlowModel
import ModelFixtures
import Tensor
import TestFixtures
import Testing

@testable import ModelImport
@testable import ReverseODE

/// Keeps the promise that images can be made by every kind of flow: what goes to noise along the ODE comes back along it.
@Suite("The way to noise and from there to an image")
struct RoundTripTests {
    /// The first fixture of each parametrisation with each kind of schedule.
    static let fixtures = Dictionary(
        grouping: FamilyFixture.all,
        by: { "\($0.parametrisation), \($0.schedule.kind) \($0.schedule.dataAt.map { "\($0)" } ?? "")" }
    ).values.map { $0[0] }.sorted { $0.name < $1.name }

    @Test("returns the image the more exactly, the finer the grid, on every kind of flow", arguments: fixtures)
    func roundTrip(fixture: FamilyFixture) throws {
        let checkpoint = try FamilyFixture.withUnpacked(fixture.name) { folder in
            try CheckpointImport(path: folder.appending(path: fixture.source).path, settings: fixture.settings())
        }
        let pool = WorkerPool(count: 2)
        func error(points: Int) throws -> Double {
            let configuration = checkpoint.configuration.forGeneration(points: points, solver: .heun)
            try configuration.validate()
            let model = try ReversibleModel(configuration: configuration, pool: pool) { key in
                // Random weights make wild flows, which only far more steps than are needed elsewhere would follow. This
                // tames the network's output.
                try checkpoint.weights(key).map { key.contains("unet.out.2.") ? 0.001 * $0 : $0 }
            }
            #expect(model.grid.reachesNoise)
            let integrator = ReverseIntegrator(model: model, capacity: 1, kernels: .best, pool: pool)
            var generator = SeededGenerator(seed: 2)
            let image = (0..<model.stateCount).map { _ in Float.random(in: -1...1, using: &generator) }
            var up = [integrator.trajectory(input: image, taps: [model.latentTap], wantsLogits: false)]
            integrator.run(&up)
            var down = [
                integrator.trajectory(
                    input: up[0].features[0], from: .gridEnd, taps: [model.imageTap], wantsLogits: false)
            ]
            integrator.run(&down)
            let back = configuration.flow.imageValues(ofState: down[0].features[0])
            let difference = zip(back, image).reduce(0.0) { $0 + Double(($1.0 - $1.1) * ($1.0 - $1.1)) }
            let length = image.reduce(0.0) { $0 + Double($1 * $1) }
            return (difference / length).squareRoot()
        }
        let (coarse, fine) = (try error(points: 9), try error(points: 49))
        #expect(fine < 0.1 && fine < max(0.4 * coarse, 1e-3), "\(coarse), \(fine)")
    }
}
