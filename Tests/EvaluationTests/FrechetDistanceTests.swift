import TestFixtures
import Testing

@testable import Evaluation

#if canImport(Glibc)
    import Glibc
#endif

@Suite("The Fréchet distance of normal distributions")
struct FrechetDistanceTests {
    /// Numbers of the normal distribution.
    private static func normals(_ count: Int, seed: UInt64) -> [Double] {
        var generator = SeededGenerator(seed: seed)
        func uniform() -> Double { Double.random(in: 1e-12..<1, using: &generator) }
        return (0..<count).map { _ in (-2 * log(uniform())).squareRoot() * cos(2 * .pi * uniform()) }
    }

    /// A covariance of that size: A·Aᵀ.
    private static func covariance(_ size: Int, seed: UInt64) -> [Double] {
        let a = normals(size * size, seed: seed)
        return (0..<size * size).map { place -> Double in
            let (row, column) = place.quotientAndRemainder(dividingBy: size)
            let products = (0..<size).map { k -> Double in a[row * size + k] * a[column * size + k] }
            return products.reduce(0, +) / Double(size)
        }
    }

    private static func diagonal(_ variances: [Double]) -> [Double] {
        (0..<variances.count * variances.count).map {
            let (row, column) = $0.quotientAndRemainder(dividingBy: variances.count)
            return row == column ? variances[row] : 0
        }
    }

    @Test("between distributions whose dimensions are independent is that of each dimension, summed up")
    func independent() throws {
        let (first, second) = ([4.0, 0.25, 0, 9], [1.0, 0.25, 2, 16])
        let (here, there) = ([0.0, 1, -2, 3], [1.0, 1, 2, 3])
        let distance = try #require(
            NormalDistribution(mean: here, covariance: Self.diagonal(first)).squaredFrechetDistance(
                to: NormalDistribution(mean: there, covariance: Self.diagonal(second))))
        var expected = 0.0
        for i in 0..<4 {
            let (shift, spread) = (here[i] - there[i], first[i].squareRoot() - second[i].squareRoot())
            expected += shift * shift + spread * spread
        }
        #expect(abs(distance - expected) < 1e-12)
    }

    @Test("in two dimensions has the trace of the root that its determinant and trace give", arguments: 1...5)
    func twoDimensions(seed: Int) throws {
        let (a, b) = (Self.covariance(2, seed: UInt64(seed)), Self.covariance(2, seed: UInt64(seed) + 100))
        let distance = try #require(
            NormalDistribution(mean: [0, 0], covariance: a).squaredFrechetDistance(
                to: NormalDistribution(mean: [3, 4], covariance: b)))
        let trace = a[0] * b[0] + 2 * a[1] * b[1] + a[3] * b[3]
        let determinant = (a[0] * a[3] - a[1] * a[2]) * (b[0] * b[3] - b[1] * b[2])
        let root = (trace + 2 * determinant.squareRoot()).squareRoot()
        let expected = 25 + a[0] + a[3] + b[0] + b[3] - 2 * root
        #expect(abs(distance - expected) < 1e-9 * expected)
    }

    @Test("is zero from itself, the same both ways, and grows with the square of the unit")
    func properties() throws {
        let size = 24
        let one = NormalDistribution(mean: Self.normals(size, seed: 1), covariance: Self.covariance(size, seed: 2))
        let other = NormalDistribution(mean: Self.normals(size, seed: 3), covariance: Self.covariance(size, seed: 4))
        #expect(try #require(one.squaredFrechetDistance(to: one)) < 1e-9)
        let there = try #require(one.squaredFrechetDistance(to: other))
        let back = try #require(other.squaredFrechetDistance(to: one))
        #expect(there > 1)
        #expect(abs(there - back) < 1e-9 * there)
        func tripled(_ distribution: NormalDistribution) -> NormalDistribution {
            NormalDistribution(
                mean: distribution.mean.map { 3 * $0 }, covariance: distribution.covariance.map { 9 * $0 })
        }
        let larger = try #require(tripled(one).squaredFrechetDistance(to: tripled(other)))
        #expect(abs(larger - 9 * there) < 1e-8 * there)
    }

    @Test("between singular distributions, as of fewer vectors than dimensions, is that within the plane they are in")
    func singular() throws {
        // Along one direction each, at an angle: tr(C₁C₂)^½ is |a·b|.
        let (a, b) = ([3.0, 0, 0], [1.0, 1, 0])
        func along(_ v: [Double]) -> NormalDistribution {
            NormalDistribution(mean: [0, 0, 0], covariance: v.flatMap { x in v.map { x * $0 } })
        }
        let distance = try #require(along(a).squaredFrechetDistance(to: along(b)))
        let expected: Double = 9 + 2 - 2 * 3
        #expect(abs(distance - expected) < 1e-9)
    }

    @Test("of vectors drawn from known distributions is nearly theirs")
    func drawn() throws {
        let count = 20_000
        func vectors(mean: Double, deviation: Double, seed: UInt64) -> [Float] {
            Self.normals(3 * count, seed: seed).map { Float(mean + deviation * $0) }
        }
        let first = NormalDistribution(of: vectors(mean: 0, deviation: 1, seed: 5), dimension: 3)
        let second = NormalDistribution(of: vectors(mean: 2, deviation: 3, seed: 6), dimension: 3)
        let distance = try #require(first.squaredFrechetDistance(to: second))
        #expect(abs(distance - 24) < 0.5)
    }

    @Test("uses the mean and the unbiased covariance of its vectors")
    func moments() {
        let distribution = NormalDistribution(of: [1, 2, 3, 6, 5, 4], dimension: 2)
        #expect(distribution.mean == [3, 4] as [Double])
        let expected: [Double] = [4, 2, 2, 4]
        #expect(zip(distribution.covariance, expected).allSatisfy { abs($0 - $1) < 1e-12 })
    }

    @Test("is none where a number isn't finite")
    func notFinite() {
        let good = NormalDistribution(mean: [0, 0], covariance: [1, 0, 0, 1])
        let bad = NormalDistribution(mean: [0, 0], covariance: [.nan, 0, 0, 1])
        #expect(bad.squaredFrechetDistance(to: good) == nil && good.squaredFrechetDistance(to: bad) == nil)
    }
}
