import FeatureService
import ReverseODE
import Tensor

/// How far a pass in reduced precision strays from the same pass in f32.
package struct PrecisionError: Codable, Sendable {
    let model: String
    /// Relative L2 error of the velocity of one evaluation.
    let velocity: Double
    /// Evaluations of the whole pass.
    let evaluations: Int
    /// Relative L2 error of the state at the end of the pass.
    let state: Double
    /// Cosine between the pooled embeddings at the end of the pass.
    let cosine: Double

    /// Runs the same input through both models, which differ in precision only and integrate with Euler's method.
    package init(name: String, exact: ReversibleModel, reduced: ReversibleModel, on computation: Computation) throws {
        let input = NetworkBenchmark.input(count: exact.stateCount)
        let taps = try [
            Tap(time: .at(exact.grid.times[1]), place: .state), Tap(time: .end, place: .state),
            Tap(time: .end, place: .pooled),
        ].map(exact.resolve)
        func features(_ model: ReversibleModel) -> [[Float]] {
            let integrator = ReverseIntegrator(
                model: model, capacity: 1, kernels: computation.kernels, pool: computation.pool)
            var pass = [integrator.trajectory(input: input, taps: taps, wantsLogits: false)]
            integrator.run(&pass)
            return pass[0].features
        }
        let (expected, found) = (features(exact), features(reduced))
        func change(_ state: [Float]) -> [Float] { zip(state, input).map(-) }
        model = name
        velocity = Self.relativeError(change(found[0]), change(expected[0]))
        evaluations = exact.evaluationsPerPass
        state = Self.relativeError(found[1], expected[1])
        cosine = found[2].cosine(with: expected[2])
    }

    private static func relativeError(_ x: [Float], _ expected: [Float]) -> Double {
        let difference = zip(x, expected).reduce(0.0) {
            $0 + (Double($1.0) - Double($1.1)) * (Double($1.0) - Double($1.1))
        }
        return (difference / expected.dotProduct(with: expected)).squareRoot()
    }

    /// For people, on one line.
    package var text: String {
        "\(model): velocity \(velocity); after \(evaluations) evaluations state \(state), embedding's cosine \(cosine)"
    }
}
