import Glibc

/// Random numbers that a seed and any keys name, such as an epoch and an image's index: SplitMix64 (Steele, Lea and
/// Flood 2014), started at a hash of them.
///
/// Each use of randomness names a stream of its own, so that its numbers don't depend on what others drew before, nor
/// on which thread came first. How numbers are drawn is written out here because the standard library may change how it
/// draws, and then a resumed run would differ.
package struct RandomStream: RandomNumberGenerator, Sendable {
    private var state: UInt64
    /// The second of two normal numbers made at once.
    private var spare: Double?

    /// The stream of a seed and keys; other keys, or the same in another order, name another stream.
    package init(seed: UInt64, _ keys: Int...) { self.init(seed: seed, keys: keys) }

    package init(seed: UInt64, keys: [Int]) {
        state = seed
        for key in keys { state = Self.mixed(state &+ 0x9E37_79B9_7F4A_7C15) ^ UInt64(bitPattern: Int64(key)) }
        state = Self.mixed(state)
    }

    /// Sixty-four random bits.
    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        return Self.mixed(state)
    }

    private static func mixed(_ state: UInt64) -> UInt64 {
        var value = (state ^ state >> 30) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
        return value ^ value >> 31
    }

    /// A number of 0..<1, a multiple of 2⁻⁵³.
    package mutating func uniform() -> Double { Double(next() >> 11) * 0x1p-53 }

    /// A number from the lower bound up to the upper one.
    package mutating func uniform(in range: ClosedRange<Double>) -> Double {
        range.lowerBound + (range.upperBound - range.lowerBound) * uniform()
    }

    /// One of 0..<`count`, all alike but for one part in 2⁶⁴ / `count`; `count` is at least 1.
    package mutating func index(below count: Int) -> Int {
        precondition(count > 0, "nothing to choose from")
        return Int(next().multipliedFullWidth(by: UInt64(count)).high)
    }

    /// True with the given probability.
    package mutating func chance(_ probability: Double) -> Bool { uniform() < probability }

    /// A number of the normal distribution of mean 0 and variance 1 (Box and Muller 1958).
    package mutating func normal() -> Double {
        if let spare {
            self.spare = nil
            return spare
        }
        let radius = (-2 * log(1 - uniform())).squareRoot()
        let angle = 2 * Double.pi * uniform()
        spare = radius * sin(angle)
        return radius * cos(angle)
    }

    /// 0..<`count` in random order (Fisher and Yates).
    package mutating func permutation(of count: Int) -> [Int] {
        var order = Array(0..<count)
        for last in stride(from: count - 1, to: 0, by: -1) { order.swapAt(last, index(below: last + 1)) }
        return order
    }
}
