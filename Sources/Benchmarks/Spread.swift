/// Median and extremes of several runs, in milliseconds.
package struct Spread: Codable, Sendable {
    /// The middle value; of an even number the greater of the two in the middle.
    let median: Double
    let least: Double
    let greatest: Double

    /// - Parameter values: at least one.
    init(_ values: [Double]) {
        let sorted = values.sorted()
        (least, median, greatest) = (sorted.first!, sorted[sorted.count / 2], sorted.last!)
    }

    /// Runs `work` once uncounted, then for about `seconds` and at least three times.
    static func measured<Failure>(for seconds: Double, _ work: () throws(Failure) -> Void) throws(Failure) -> Self {
        try work()
        let clock = ContinuousClock()
        let start = clock.now
        var milliseconds: [Double] = []
        while milliseconds.count < 3 || start.duration(to: clock.now) < .seconds(seconds) {
            let began = clock.now
            try work()
            milliseconds.append(began.duration(to: clock.now) / .milliseconds(1))
        }
        return Self(milliseconds)
    }

    /// The spread of each of `count` parts of the runs.
    func divided(by count: Double) -> Spread { Spread([least, median, greatest].map { $0 / count }) }

    /// Such as `12.34 (12.01-15.6)`.
    ///
    /// - Parameter digits: behind the point.
    func text(digits: Int = 2) -> String {
        "\(rounded(median, digits)) (\(rounded(least, digits))-\(rounded(greatest, digits)))"
    }
}

/// `value` rounded to so many digits behind the point.
func rounded(_ value: Double, _ digits: Int = 2) -> Double {
    let power = (0..<digits).reduce(1.0) { product, _ in product * 10 }
    return (value * power).rounded() / power
}
