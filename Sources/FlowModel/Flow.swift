import Glibc
import Networks

/// The ODE that a model was trained on.
public enum Flow: Sendable, Equatable {
    /// One of PRG's: the network is the velocity in t, with t as its time label.
    case path(ProbabilityPath)
    /// That of a published flow or diffusion model.
    case parametrised(ParametrisedFlow)

    /// PRG's path; nil for a parametrised flow.
    public var path: ProbabilityPath? {
        if case .path(let path) = self { path } else { nil }
    }

    /// The flow if it is none of PRG's paths.
    public var parametrised: ParametrisedFlow? {
        if case .parametrised(let flow) = self { flow } else { nil }
    }

    /// Whether its times are noise levels σ, which lie orders of magnitude apart.
    public var isByNoiseLevel: Bool {
        if case .parametrised(let flow) = self, case .noise(.levels) = flow.times { true } else { false }
    }

    /// What a state in units of constant variance is multiplied by to have the image's own values where there is no noise.
    public var imageScale: Double {
        if case .parametrised(let flow) = self { flow.imageScale } else { 1 }
    }

    /// The image's own values, as preprocessing makes them, of a state in units of constant variance where there is no noise.
    public func imageValues(ofState state: [Float]) -> [Float] {
        let scale = Float(imageScale)
        return scale == 1 ? state : state.map { $0 * scale }
    }

    /// The factors by which training multiplies the noise and the image when it mixes them into a state.
    ///
    /// - Parameter s: the time t of a flow, or else the noise level σ.
    public func shares(at s: Double) -> (noise: Double, image: Double) {
        switch self {
        case .path(.icfm), .path(.otcfm): (1 - s, s)
        case .path(.gvp): (sin(.pi / 2 * s), cos(.pi / 2 * s))
        case .parametrised(let flow):
            switch flow.times {
            case .uniform(let data, let noise) where data > noise: (1 - s, s)
            case .uniform: (s, 1 - s)
            case .noise: (s, 1)
            }
        }
    }

    /// How such models' packages compute the time embedding's frequencies. For EDM models with time labels 1000 times as large,
    /// consistency_models computes them as most packages do. The labels of diffusers' EDM are too small to show a difference.
    var frequencies: Sinusoids.Frequencies {
        guard case .parametrised(let flow) = self else { return .exponentials }
        switch flow.prediction {
        case .edm, .edmReversed, .vp, .ve: return flow.timeScale == 1 ? .singlePowers : .singleExponentials
        case .velocity, .epsilon, .v, .sample: return .singleExponentials
        }
    }
}
