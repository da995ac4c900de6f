import Glibc

/// Round numbers along an axis: 1, 2 or 5 times a power of ten apart.
package struct Ticks: Sendable, Equatable {
    /// From the greatest multiple not above the data to the least one not below it, ascending; at least two.
    package let values: [Double]
    /// What they are written as, all with the same number of digits behind the point.
    package let labels: [String]

    /// Numbers beyond this are no data but a fault, and their differences might overflow.
    static let greatest = 1e100

    /// Chooses ticks that enclose a range.
    ///
    /// - Parameters:
    ///   - range: within ±10¹⁰⁰; widened if its ends can hardly be told apart.
    ///   - most: distances between ticks, at most, before rounding outwards; at least 1.
    ///   - isIntegral: keeps ticks at whole numbers, as epochs are.
    package init(covering range: ClosedRange<Double>, most: Int = 6, isIntegral: Bool = false) {
        precondition(max(abs(range.lowerBound), abs(range.upperBound)) <= Self.greatest && most > 0)
        let widened = Self.widened(range)
        let rough = (widened.upperBound - widened.lowerBound) / Double(most)
        var exponent = Int(log10(rough).rounded(.down))
        var factor = [1.0, 2, 5].first { $0 * Self.power(exponent) >= rough * (1 - 1e-12) } ?? 10
        if factor == 10 { (factor, exponent) = (1, exponent + 1) }
        if isIntegral, exponent < 0 { (factor, exponent) = (1, 0) }
        // A whole number over a power of ten is nearer to the decimal number than a multiple of a rounded step.
        func value(_ multiple: Double) -> Double {
            exponent >= 0 ? multiple * factor * Self.power(exponent) : multiple * factor / Self.power(-exponent)
        }
        let step = value(1)
        let first = (widened.lowerBound / step + 1e-9).rounded(.down)
        let last = max((widened.upperBound / step - 1e-9).rounded(.up), first + 1)
        // Adding zero makes -0 into 0.
        values = stride(from: first, through: last, by: 1).map { value($0) + 0 }
        labels = values.map { Self.text($0, exponent: exponent) }
    }

    private static func widened(_ range: ClosedRange<Double>) -> ClosedRange<Double> {
        let magnitude = max(abs(range.lowerBound), abs(range.upperBound))
        // Ticks between numbers nearer to each other than this could not be written with the digits that labels have.
        guard range.upperBound - range.lowerBound <= magnitude * 1e-5 || magnitude < 1e-100 else { return range }
        let margin = magnitude < 1e-100 ? 1 : magnitude / 10
        return range.lowerBound - margin...range.upperBound + margin
    }

    private static func power(_ exponent: Int) -> Double { pow(10, Double(exponent)) }

    private static func text(_ value: Double, exponent: Int) -> String {
        guard exponent < -6 || abs(value) >= 1e9 else { return fixed(value, digits: max(0, -exponent)) }
        return value == 0 ? "0" : scientific(value, exponent: exponent)
    }

    /// Such as `-0.50`.
    static func fixed(_ value: Double, digits: Int) -> String {
        let scaled = Int((abs(value) * power(digits)).rounded())
        let unit = Int(power(digits))
        var text = "\(scaled / unit)"
        if digits > 0 {
            let fraction = "\(scaled % unit)"
            text += "." + String(repeating: "0", count: digits - fraction.count) + fraction
        }
        return value < 0 && scaled > 0 ? "-" + text : text
    }

    /// Such as `2.5e-8`, to the digit of `exponent`.
    private static func scientific(_ value: Double, exponent: Int) -> String {
        let own = Int(log10(abs(value) * (1 + 1e-12)).rounded(.down))
        let mantissa = own < 0 ? value * power(-own) : value / power(own)
        return fixed(mantissa, digits: min(max(own - exponent, 0), 6)) + "e\(own)"
    }
}
