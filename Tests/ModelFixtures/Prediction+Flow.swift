public import FlowModel
import Testing

extension Prediction: CustomTestStringConvertible {
    /// Reports show the name alone.
    public var testDescription: String { rawValue }

    /// A flow of this kind.
    package var flow: ParametrisedFlow {
        switch self {
        case .velocity: ParametrisedFlow(prediction: self, times: .uniform(data: 0, noise: 1), timeScale: 1000)
        case .epsilon, .v, .sample:
            ParametrisedFlow(
                prediction: self, times: .noise(.timesteps(.linear(count: 1000, start: 1e-4, end: 0.02))))
        case .edm, .edmReversed, .vp, .ve:
            ParametrisedFlow(prediction: self, times: .noise(.levels(smallest: 0.02, largest: 80, rho: 7)))
        }
    }
}
