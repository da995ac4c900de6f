#if canImport(Glibc)
    import Glibc
#endif

/// How much noise a diffusion model's training adds at each of its own times: σ, relative to the image.
public enum NoiseSchedule: Sendable, Equatable {
    /// Timesteps 0, 1, …, each of which adds a share β of noise.
    case timesteps(Betas)
    /// Any noise level from `smallest` to `largest`; the grid's points lie evenly in σ^(1/ρ) (Karras et al. 2022, equation 5).
    case levels(smallest: Double, largest: Double, rho: Double)

    /// The shares of noise of a model with discrete timesteps.
    public enum Betas: Sendable, Equatable {
        /// Evenly spaced from `start` to `end` (Ho et al. 2020).
        case linear(count: Int, start: Double, end: Double)
        /// The squares of evenly spaced numbers from √start to √end (Rombach et al. 2022).
        case scaledLinear(count: Int, start: Double, end: Double)
        /// Those of a squared cosine (Nichol and Dhariwal 2021).
        case cosine(count: Int)
        /// A model's own.
        case given([Double])
    }
}

extension NoiseSchedule.Betas {
    /// How many timesteps there are.
    public var count: Int {
        switch self {
        case .linear(let count, _, _), .scaledLinear(let count, _, _), .cosine(let count): count
        case .given(let betas): betas.count
        }
    }

    private var values: [Double] {
        func evenly(from start: Double, to end: Double, _ count: Int) -> [Double] {
            (0..<count).map { start + (end - start) * Double($0) / Double(max(count - 1, 1)) }
        }
        switch self {
        case .linear(let count, let start, let end): return evenly(from: start, to: end, count)
        case .scaledLinear(let count, let start, let end):
            return evenly(from: start.squareRoot(), to: end.squareRoot(), count).map { $0 * $0 }
        case .cosine(let count):
            func level(_ step: Int) -> Double {
                let root = cos((Double(step) / Double(count) + 0.008) / 1.008 * .pi / 2)
                return root * root
            }
            return (0..<count).map { min(1 - level($0 + 1) / level($0), 0.999) }
        case .given(let betas): return betas
        }
    }

    /// σ at every timestep: √(1/ᾱ − 1), where ᾱ is the product of 1 − β so far. Infinite where no image is left.
    public var noiseLevels: [Double] {
        var remaining = 1.0
        return values.map { beta in
            remaining *= 1 - beta
            return (1 / remaining - 1).squareRoot()
        }
    }
}

/// The noise levels of discrete timesteps, and the timestep of a level between two of them.
public struct NoiseLevels: Sendable, Equatable {
    /// σ at every timestep up to the last that a reverse pass visits, ascending.
    public let values: [Double]

    /// The largest noise level that a reverse pass goes to. Beyond it nothing of an image is left, and the state's numbers
    /// would grow without adding any: a cosine schedule of 4000 timesteps ends at 81,165. It is the largest level of EDM's grid.
    public static let largest = 80.0

    /// The levels of a schedule, up to `largest`.
    public init(_ betas: NoiseSchedule.Betas) { values = Array(betas.noiseLevels.prefix { $0 <= Self.largest }) }

    /// The timestep whose level is σ, by linear interpolation of its logarithm between neighbours, clamped to the first and last
    /// timestep.
    public func timestep(of level: Double) -> Double {
        guard let above = values.firstIndex(where: { $0 >= level }) else { return Double(values.count - 1) }
        guard above > 0 else { return 0 }
        let (low, high) = (log(values[above - 1]), log(values[above]))
        return Double(above - 1) + (log(level) - low) / (high - low)
    }
}
