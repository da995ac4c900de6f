import Synchronization

/// Counts observations in fixed buckets, such as seconds per request. Safe from any thread.
///
/// Under a mutex rather than one atomic per bucket: a scrape then sees counts and sum of the same instant, and the
/// critical section is two additions.
package final class Histogram: Sendable {
    /// What a histogram had counted at one instant.
    package struct Snapshot: Sendable, Equatable {
        /// The buckets' inclusive upper bounds, ascending, without the infinite last.
        package let bounds: [Double]
        /// Observations per bucket, not cumulative; one more than `bounds`, the last being everything above.
        package let counts: [UInt64]
        package let sum: Double
    }

    private struct State {
        var counts: [UInt64]
        var sum = 0.0
    }

    private let bounds: [Double]
    private let state: Mutex<State>

    init(bounds: [Double]) {
        self.bounds = bounds
        state = Mutex(State(counts: Array(repeating: 0, count: bounds.count + 1)))
    }

    /// Counts one observation, in the metric's base unit. A value that isn't finite is not recorded: it belongs to no
    /// bucket and would spoil the sum for good.
    package func observe(_ value: Double) {
        guard value.isFinite else { return }
        let bucket = bounds.firstIndex { value <= $0 } ?? bounds.count
        state.withLock {
            $0.counts[bucket] += 1
            $0.sum += value
        }
    }

    /// Counts a duration, in seconds.
    package func observe(_ duration: Duration) {
        observe(duration / .seconds(1))
    }

    package var snapshot: Snapshot {
        state.withLock { Snapshot(bounds: bounds, counts: $0.counts, sum: $0.sum) }
    }
}

/// Bucket bounds in common use.
package enum HistogramBuckets {
    /// From a millisecond to two minutes: a request's stages, in seconds.
    package static let seconds: [Double] = [
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120,
    ]

    /// 1, 2, 4, … up to the first power of two that is not below `limit` (at most 2^52): batch sizes.
    package static func powersOfTwo(through limit: Int) -> [Double] {
        var bounds = [1.0]
        while let last = bounds.last, last < Double(limit), bounds.count <= 52 {
            bounds.append(last * 2)
        }
        return bounds
    }
}
