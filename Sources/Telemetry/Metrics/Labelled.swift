import Synchronization

/// One metric per combination of label values, such as requests by route and status.
///
/// The number of combinations is bounded, since each takes memory here and in the monitoring system for ever: beyond
/// the limit every new combination shares one series whose label values are all `other`.
package final class Labelled<Metric: Sendable>: Sendable {
    private let labelCount: Int
    private let limit: Int
    private let make: @Sendable () -> Metric
    private let series = Mutex<[[String]: Metric]>([:])

    init(labelCount: Int, limit: Int, make: @escaping @Sendable () -> Metric) {
        self.labelCount = labelCount
        self.limit = limit
        self.make = make
    }

    /// The metric for these label values, in the order in which the labels were registered; made on first use.
    ///
    /// - Precondition: as many values as labels were registered.
    package subscript(values: String...) -> Metric {
        precondition(values.count == labelCount, "\(labelCount) label values expected, \(values.count) given")
        return series.withLock { series in
            if let existing = series[values] { return existing }
            let key = series.count < limit ? values : values.map { _ in "other" }
            if let existing = series[key] { return existing }
            let metric = make()
            series[key] = metric
            return metric
        }
    }

    /// Every series so far, in no particular order.
    var all: [(values: [String], metric: Metric)] {
        series.withLock { $0.map { (values: $0.key, metric: $0.value) } }
    }
}
