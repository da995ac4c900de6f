import Glibc

/// Random numbers as a function of a seed, a purpose, a step and an index, so that training can be resumed, and numbers
/// made in any order by any number of workers: Philox4x32-10 (Salmon et al. 2011).
public struct CounterGenerator: Sendable {
    /// What the numbers are for; different purposes have independent numbers.
    public enum Purpose: UInt32, Sendable {
        case weights = 1
        case noise, times, pairs
        case validationNoise, validationTimes, validationPairs
        case samples
    }

    private let key: SIMD2<UInt32>
    private let purpose: UInt32
    private let step: UInt32

    /// The numbers of a seed, for that purpose, at that step.
    public init(seed: UInt64, purpose: Purpose, step: Int) {
        key = SIMD2(UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32))
        self.purpose = purpose.rawValue
        self.step = UInt32(truncatingIfNeeded: step)
    }

    /// Four independent uniform words for each index.
    public func words(_ index: Int) -> SIMD4<UInt32> {
        Self.philox(
            SIMD4(UInt32(truncatingIfNeeded: index), UInt32(truncatingIfNeeded: index >> 32), step, purpose), key: key)
    }

    /// A number uniform in 0 ..< 1, a multiple of 2^-24.
    public func uniform(_ index: Int) -> Float { Float(words(index).x >> 8) * 0x1p-24 }

    /// A standard normal number, independent of the index's `uniform`.
    package func normal(_ index: Int) -> Float {
        let words = words(index)
        return Self.normals(words.z, words.w).0
    }

    /// An integer uniform in 0 ..< bound.
    public func integer(_ index: Int, below bound: Int) -> Int {
        let words = words(index)
        return Int((UInt64(words.y) << 32 | UInt64(words.x)).multipliedFullWidth(by: UInt64(bound)).high)
    }

    /// Writes numbers `range` of a sequence of standard normal ones to `destination`; by Box and Muller 1958. The range
    /// begins at a multiple of 4.
    public func writeNormals(_ range: Range<Int>, to destination: UnsafeMutablePointer<Float>) {
        precondition(range.lowerBound.isMultiple(of: 4))
        for start in stride(from: range.lowerBound, to: range.upperBound, by: 4) {
            let words = words(start / 4)
            let (a, b) = (Self.normals(words.x, words.y), Self.normals(words.z, words.w))
            let four = SIMD4(a.0, a.1, b.0, b.1)
            for k in 0..<min(4, range.upperBound - start) { destination[start - range.lowerBound + k] = four[k] }
        }
    }

    private static func normals(_ a: UInt32, _ b: UInt32) -> (Float, Float) {
        // Never 0, whose logarithm is infinite.
        let radius = (-2 * log((Float(a >> 8) + 0.5) * 0x1p-24)).squareRoot()
        let angle = 2 * Float.pi * Float(b >> 8) * 0x1p-24
        return (radius * cos(angle), radius * sin(angle))
    }

    /// Ten rounds of Philox on a counter.
    static func philox(_ counter: SIMD4<UInt32>, key: SIMD2<UInt32>) -> SIMD4<UInt32> {
        var (counter, key) = (counter, key)
        for _ in 0..<10 {
            let first = counter.x.multipliedFullWidth(by: 0xD251_1F53)
            let second = counter.z.multipliedFullWidth(by: 0xCD9E_8D57)
            counter = SIMD4(second.high ^ counter.y ^ key.x, second.low, first.high ^ counter.w ^ key.y, first.low)
            key &+= SIMD2(0x9E37_79B9, 0xBB67_AE85)
        }
        return counter
    }
}
