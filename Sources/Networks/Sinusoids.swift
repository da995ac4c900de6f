import Glibc

/// How a time embedding turns a time t into sines and cosines of t·f at frequencies f from 1 down to about 1/10000.
public struct Sinusoids: Sendable, Equatable {
    /// How the frequencies are computed. The ways differ by rounding alone, which labels τ up to 4000 make visible.
    public enum Frequencies: Sendable {
        /// exp(-ln 10000·i/n) in double precision, rounded: PRG's.
        case exponentials
        /// The same in single precision throughout: that of most packages.
        case singleExponentials
        /// (1/10000)^(i/n) in single precision: EDM's.
        case singlePowers
    }

    /// How the frequencies are computed.
    public var frequencies = Frequencies.exponentials
    /// n above is half the channels less this.
    public var frequencyShift = 0
    /// Whether the sines come before the cosines.
    public var beginsWithSines = false

    /// PRG's.
    public static let reference = Sinusoids()

    /// Describes sinusoids.
    public init(
        frequencies: Frequencies = .exponentials, frequencyShift: Int = 0, beginsWithSines: Bool = false
    ) {
        self.frequencies = frequencies
        self.frequencyShift = frequencyShift
        self.beginsWithSines = beginsWithSines
    }

    /// `count` numbers of t: one half cosines, the other sines; an odd last one is zero, as in the reference. t·f is rounded to
    /// single precision, as in every package.
    public func values(of t: Float, count: Int) -> [Float] {
        let half = count / 2
        let arguments = (0..<half).map { Double(t * frequency($0, of: half - frequencyShift)) }
        let (cosines, sines) = (arguments.map { Float(cos($0)) }, arguments.map { Float(sin($0)) })
        let padding = [Float](repeating: 0, count: count - 2 * half)
        return (beginsWithSines ? sines + cosines : cosines + sines) + padding
    }

    private func frequency(_ i: Int, of n: Int) -> Float {
        switch frequencies {
        case .exponentials: Float(exp(-log(10_000.0) * Double(i) / Double(n)))
        case .singleExponentials: exp(Float(-log(10_000.0)) * Float(i) / Float(n))
        case .singlePowers: pow(1e-4, Float(i) / Float(n))
        }
    }
}
