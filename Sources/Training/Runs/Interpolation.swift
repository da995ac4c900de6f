import FlowModel
import Glibc

/// A point between noise and an image: the factors of both in what the network is shown, and in what it should answer.
struct Interpolation: Sendable, Equatable {
    /// Of the network's input.
    let state: (noise: Float, image: Float)
    /// Of its output.
    let target: (noise: Float, image: Float)
    /// What the network is told of the time.
    let label: Float

    private init(state: (noise: Float, image: Float), target: (noise: Float, image: Float), label: Float) {
        (self.state, self.target, self.label) = (state, target, label)
    }

    init(_ path: ProbabilityPath, at time: Float) {
        switch path {
        case .icfm, .otcfm:
            self.init(state: (1 - time, time), target: (-1, 1), label: time)
        case .gvp:
            let angle = Float.pi / 2 * time
            self.init(
                state: (sin(angle), cos(angle)),
                target: (Float.pi / 2 * cos(angle), -Float.pi / 2 * sin(angle)), label: time)
        }
    }

    /// At a point s of a flow. Its equation, dx/ds = a·x + b·F(c·x, τ), says what F answers where x and dx/ds are known.
    ///
    /// - Parameter time: the source's own time at s.
    init(_ flow: ParametrisedFlow, at s: Double, time: Double) {
        let point = flow.point(at: s, time: time)
        let x = Flow.parametrised(flow).shares(at: s)
        let velocity: (noise: Double, image: Double) =
            switch flow.times {
            case .uniform(let data, let noise): data > noise ? (-1, 1) : (1, -1)
            case .noise: (1, 0)
            }
        self.init(
            state: (Float(point.c * x.noise), Float(point.c * x.image)),
            target: (
                Float((velocity.noise - point.a * x.noise) / point.b),
                Float((velocity.image - point.a * x.image) / point.b)
            ),
            label: Float(point.label))
    }

    static func == (a: Self, b: Self) -> Bool {
        a.state == b.state && a.target == b.target && a.label == b.label
    }
}

/// The points at which a flow's network is trained.
struct TrainingTimes: Sendable {
    private let flow: Flow
    /// Of discrete timesteps.
    private let levels: [Double]

    init(_ flow: Flow) {
        self.flow = flow
        levels = flow.parametrised?.noiseLevels?.values ?? []
    }

    /// A random point: t or the timestep uniform, and of noise levels as EDM's authors draw them (Karras et al. 2022, table 1): for
    /// EDM ln σ of mean -1.2 and deviation 1.2, for VP its t uniform, for VE ln σ uniform.
    ///
    /// - Parameters:
    ///   - uniform: a random number in 0 ..< 1.
    ///   - normal: a standard normal one.
    func point(_ uniform: Float, normal: Float) -> Interpolation {
        switch flow {
        case .path(let path): return Interpolation(path, at: uniform)
        case .parametrised(let flow):
            let u = Double(uniform)
            switch flow.times {
            case .uniform(let data, let noise):
                let time = noise + (data - noise) * u
                return Interpolation(flow, at: time, time: time)
            case .noise(.timesteps):
                let step = Int(u * Double(levels.count))
                return Interpolation(flow, at: levels[step], time: Double(step))
            case .noise(.levels(let smallest, let largest, _)):
                let range = (smallest, min(largest, NoiseLevels.largest))
                let level = Self.level(flow.prediction, u, normal: Double(normal), from: range.0, to: range.1)
                return Interpolation(flow, at: level, time: level)
            }
        }
    }

    private static func level(
        _ prediction: Prediction, _ uniform: Double, normal: Double, from smallest: Double, to largest: Double
    ) -> Double {
        let level =
            switch prediction {
            case .vp: expm1(uniform * (0.1 + 9.95 * uniform)).squareRoot()
            case .ve: smallest * pow(largest / smallest, uniform)
            default: exp(1.2 * normal - 1.2)
            }
        return min(max(level, smallest), largest)
    }
}
