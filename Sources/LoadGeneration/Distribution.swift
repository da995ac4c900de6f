/// What is left of many measurements: percentiles by the nearest-rank method, which always are values that were measured.
package struct Distribution: Sendable, Equatable, Codable {
    package let count: Int
    /// The least value such that half of all are no greater; 0 for none.
    package let p50: Double
    /// The least value such that 95 of 100 are no greater; 0 for none.
    package let p95: Double
    /// The least value such that 99 of 100 are no greater; 0 for none.
    package let p99: Double
    /// The greatest value; 0 for none.
    package let greatest: Double

    /// Summarises `values`, which need not be sorted; all are finite.
    package init(_ values: [Double]) {
        let sorted = values.sorted()
        count = sorted.count
        p50 = Self.percentile(50, of: sorted)
        p95 = Self.percentile(95, of: sorted)
        p99 = Self.percentile(99, of: sorted)
        greatest = sorted.last ?? 0
    }

    /// The value of rank ceil(percent / 100 * count) in rising order; 0 if there are none.
    static func percentile(_ percent: Int, of sorted: [Double]) -> Double {
        guard !sorted.isEmpty else { return 0 }
        let rank = (percent * sorted.count + 99) / 100
        return sorted[max(1, min(rank, sorted.count)) - 1]
    }
}
