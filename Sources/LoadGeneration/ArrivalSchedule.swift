import Glibc

/// When requests arrive, drawn before the first is sent, so that how they are answered can't change it.
package struct ArrivalSchedule: Sendable, Equatable {
    /// Seconds from the start, rising, all below the duration.
    package let times: [Double]
    /// How long requests arrive, in seconds.
    package let duration: Double

    /// A Poisson process: independent arrivals, the gaps between them exponentially distributed.
    ///
    /// - Parameters:
    ///   - rate: arrivals a second on average, above 0.
    ///   - duration: seconds, at least 0.
    ///   - seed: the same seed gives the same arrivals.
    package init(poisson rate: Double, duration: Double, seed: UInt64) {
        precondition(rate > 0 && rate.isFinite && duration >= 0 && duration.isFinite)
        var generator = SplitMix64(state: seed)
        var times: [Double] = []
        times.reserveCapacity(Int(rate * duration * 1.1) + 16)
        var time = generator.exponential(rate: rate)
        while time < duration {
            times.append(time)
            time += generator.exponential(rate: rate)
        }
        self.times = times
        self.duration = duration
    }
}

/// A generator of uniform 64-bit numbers (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014), the
/// same on every machine.
package struct SplitMix64: RandomNumberGenerator, Sendable {
    private var state: UInt64

    package init(state: UInt64) { self.state = state }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// An exponentially distributed number, by inversion of a uniform one in (0, 1].
    mutating func exponential(rate: Double) -> Double {
        let uniform = (Double(next() >> 11) + 1) / Double(1 << 53)
        return -log(uniform) / rate
    }
}
