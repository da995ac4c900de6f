#if canImport(Glibc)
    import Glibc
#endif

/// What a network's output means.
public enum Prediction: String, Codable, Sendable, CaseIterable {
    /// The velocity dx/dt of a flow between images and noise.
    case velocity
    /// The noise in the state (Ho et al. 2020).
    case epsilon
    /// The velocity v of Salimans and Ho 2022.
    case v
    /// The image without the noise.
    case sample
    /// The output of EDM's preconditioning with images of deviation 0.5 (Karras et al. 2022, table 1).
    case edm
    /// The same with the sign reversed, as diffusers' EDMEulerScheduler defines it for v-predictions.
    case edmReversed = "edm-reversed"
    /// The noise under EDM's preconditioning for variance-preserving diffusions (table 1, VP).
    case vp
    /// The negated noise under EDM's preconditioning for variance-exploding diffusions (table 1, VE).
    case ve
}

/// The ODE of a model that isn't PRG's own: dx/ds = a·x + b·F(c·x, τ), F being the network.
///
/// s is the time t of a flow, or else the noise level σ, with x = image + σ·noise. The four scalars depend on s alone and are
/// tabulated when a model loads. docs/families.md has the table.
public struct ParametrisedFlow: Sendable, Equatable {
    /// Which of the source's own times the pass visits.
    public enum Times: Sendable, Equatable {
        /// Times t evenly from the data's end of a flow to the noise's.
        case uniform(data: Double, noise: Double)
        /// Those of a noise schedule.
        case noise(NoiseSchedule)
    }

    /// What the network's output means.
    public var prediction: Prediction
    /// The source's own times.
    public var times: Times
    /// What the network's time labels are multiples of: τ = timeScale·label, the label being t, the timestep, ln σ/4 for
    /// EDM, 999·t(σ) for VP, ln(σ/2) for VE.
    public var timeScale: Double

    /// Describes a flow.
    public init(prediction: Prediction, times: Times, timeScale: Double = 1) {
        self.prediction = prediction
        self.times = times
        self.timeScale = timeScale
    }

    /// The deviation of images that EDM's preconditioning assumes.
    static let imageDeviation = 0.5
}

/// Everything about a flow at one point s.
public struct FlowPoint: Sendable, Equatable {
    /// Factor of the state in dx/ds.
    public let a: Double
    /// Factor of the network's output in dx/ds.
    public let b: Double
    /// Factor of the state in the network's input, with which it has the same variance at every point.
    public let c: Double
    /// The network's time label.
    public let label: Double

    /// Puts a point together.
    public init(a: Double, b: Double, c: Double, label: Double) {
        (self.a, self.b, self.c, self.label) = (a, b, c, label)
    }
}

extension ParametrisedFlow {
    /// The points of a reverse pass, from the image to noise, by the source's own time and s.
    ///
    /// Times t of a flow are spaced evenly, and so are timesteps, each rounded to a whole one; noise levels evenly in σ^(1/ρ). None
    /// is beyond `NoiseLevels.largest`.
    ///
    /// - Parameter count: how many, at least 2.
    public func grid(count: Int) -> [(time: Double, s: Double)] {
        func fraction(_ i: Int) -> Double { Double(i) / Double(count - 1) }
        switch times {
        case .uniform(let data, let noise):
            return (0..<count).map { i in
                let time = i == count - 1 ? noise : data + (noise - data) * fraction(i)
                return (time, time)
            }
        case .noise(.timesteps(let betas)):
            let levels = NoiseLevels(betas).values
            return (0..<count).map { i in
                let step = Int((fraction(i) * Double(levels.count - 1)).rounded())
                return (Double(step), levels[step])
            }
        case .noise(.levels(let smallest, let largest, let rho)):
            let (low, high) = (pow(smallest, 1 / rho), pow(min(largest, NoiseLevels.largest), 1 / rho))
            return (0..<count).map { i in
                let level =
                    i == count - 1 ? min(largest, NoiseLevels.largest) : pow(low + fraction(i) * (high - low), rho)
                return (level, level)
            }
        }
    }

    /// The noise levels of its timesteps; nil if it has none.
    public var noiseLevels: NoiseLevels? {
        guard case .noise(.timesteps(let betas)) = times else { return nil }
        return NoiseLevels(betas)
    }

    /// The source's own time at s, which may lie between its timesteps.
    ///
    /// - Parameter levels: `noiseLevels`, which takes longer to compute than the time.
    public func time(at s: Double, levels: NoiseLevels?) -> Double { levels?.timestep(of: s) ?? s }

    /// The scalars at s.
    ///
    /// - Parameter time: the source's own time there.
    public func point(at s: Double, time: Double) -> FlowPoint {
        let label = timeScale * self.label(at: s, time: time)
        func point(_ a: Double, _ b: Double, _ c: Double) -> FlowPoint { FlowPoint(a: a, b: b, c: c, label: label) }
        let unit = 1 / (1 + s * s).squareRoot()
        switch prediction {
        case .velocity: return point(0, 1, 1)
        case .epsilon, .vp: return point(0, 1, unit)
        case .v: return point(s * unit * unit, unit, unit)
        case .sample: return point(1 / s, -1 / s, unit)
        case .ve: return point(0, -1, 1)
        case .edm, .edmReversed:
            let deviation = Self.imageDeviation
            let variance = s * s + deviation * deviation
            let sign = prediction == .edm ? -1.0 : 1
            return point(s / variance, sign * deviation / variance.squareRoot(), 1 / variance.squareRoot())
        }
    }

    private func label(at s: Double, time: Double) -> Double {
        switch prediction {
        case .velocity, .epsilon, .v, .sample: return time
        case .edm, .edmReversed: return log(s) / 4
        case .ve: return log(s / 2)
        case .vp:
            // The inverse of σ(t) of VP's schedule, β from 0.1 to 20 (Karras et al. 2022, table 1).
            let (slope, smallest) = (19.9, 0.1)
            return 999 * ((smallest * smallest + 2 * slope * log1p(s * s)).squareRoot() - smallest) / slope
        }
    }

    /// What a state x is multiplied by to have the same variance at every s: c, and for VE, whose network sees x itself, what c is
    /// for the other predictions of noise.
    public func unit(at s: Double) -> Double {
        prediction == .ve ? 1 / (1 + s * s).squareRoot() : point(at: s, time: 0).c
    }

    /// What a state in those units is multiplied by to have the image's own values where there is no noise.
    public var imageScale: Double {
        switch prediction {
        case .edm, .edmReversed: Self.imageDeviation
        default: 1
        }
    }
}

extension ParametrisedFlow: CustomStringConvertible {
    /// What it predicts and over which times, as `headwater inspect` prints it.
    public var description: String {
        let schedule =
            switch times {
            case .uniform(let data, let noise): "t from \(data) at the image to \(noise) at noise"
            case .noise(.levels(let smallest, let largest, _)): "noise levels from \(smallest) to \(largest)"
            case .noise(.timesteps(let betas)): "\(betas.count) timesteps of a \(betas.name) schedule"
            }
        return "\(prediction.rawValue), \(schedule)"
            + (timeScale == 1 ? "" : ", time labels multiplied by \(timeScale)")
    }
}

extension NoiseSchedule.Betas {
    fileprivate var name: String {
        switch self {
        case .linear: "linear"
        case .scaledLinear: "scaled linear"
        case .cosine: "cosine"
        case .given: "given"
        }
    }
}
