import Synchronization

/// One value of a metric that is computed at scrape.
package struct Sample: Sendable, Equatable {
    /// The labels' values, in the order in which the labels were registered.
    package let labelValues: [String]
    /// The value, in the metric's base unit.
    package let value: Double

    package init(_ value: Double, labelValues: [String] = []) {
        self.value = value
        self.labelValues = labelValues
    }
}

/// The metrics of one process, exposed as Prometheus text.
///
/// Metrics are registered once, at start, under names that are checked; observing them afterwards never fails. Two
/// registries share nothing, so that every test has its own.
package final class MetricsRegistry: Sendable {
    /// One labelled value, or histogram, of a metric.
    enum Series: Sendable {
        case value(labels: [String], Double)
        case histogram(labels: [String], Histogram.Snapshot)

        var labelValues: [String] {
            switch self {
            case .value(let labels, _), .histogram(let labels, _): labels
            }
        }
    }

    private struct Family: Sendable {
        let descriptor: MetricDescriptor
        let read: @Sendable () -> [Series]
    }

    private let seriesLimit: Int
    private let families = Mutex<[String: Family]>([:])

    /// A registry without metrics.
    ///
    /// - Parameter seriesLimit: the most combinations of label values that one metric may have (see ``Labelled``).
    package init(seriesLimit: Int = 1000) {
        self.seriesLimit = seriesLimit
    }

    /// Registers a counter; its name ends in `_total`.
    package func counter(_ name: String, help: String) throws(MetricError) -> Counter {
        try counter(name, help: help, labels: [])[]
    }

    /// Registers a counter per combination of the labels' values.
    package func counter(_ name: String, help: String, labels: [String]) throws(MetricError) -> Labelled<Counter> {
        let counters = Labelled(labelCount: labels.count, limit: seriesLimit) { Counter() }
        try register(name, .counter, help, labels) {
            counters.all.map { .value(labels: $0.values, Double($0.metric.value)) }
        }
        return counters
    }

    package func gauge(_ name: String, help: String) throws(MetricError) -> Gauge {
        let gauge = Gauge()
        try register(name, .gauge, help) { [.value(labels: [], gauge.value)] }
        return gauge
    }

    /// Registers a histogram with the inclusive upper `bounds`, in the metric's base unit, strictly ascending; the
    /// infinite last bucket is added.
    package func histogram(_ name: String, help: String, bounds: [Double]) throws(MetricError) -> Histogram {
        try histogram(name, help: help, labels: [], bounds: bounds)[]
    }

    /// Registers a histogram per combination of the labels' values.
    package func histogram(
        _ name: String, help: String, labels: [String], bounds: [Double]
    ) throws(MetricError) -> Labelled<Histogram> {
        guard !bounds.isEmpty, bounds.allSatisfy(\.isFinite), zip(bounds, bounds.dropFirst()).allSatisfy(<) else {
            throw .invalidBuckets(name)
        }
        let histograms = Labelled(labelCount: labels.count, limit: seriesLimit) { Histogram(bounds: bounds) }
        try register(name, .histogram, help, labels) {
            histograms.all.map { .histogram(labels: $0.values, $0.metric.snapshot) }
        }
        return histograms
    }

    /// Registers a gauge whose values are computed at scrape; where there is nothing to tell, `read` returns no sample.
    /// It runs on the scraping thread, may run on several at once, and must not register metrics.
    ///
    /// - Precondition: every sample has as many label values as there are labels.
    package func gauge(
        _ name: String, help: String, labels: [String] = [], read: @escaping @Sendable () -> [Sample]
    ) throws(MetricError) {
        try register(name, .gauge, help, labels) { Self.series(of: read(), name, labels) }
    }

    /// Registers a counter whose values are computed at scrape, under the same rules as such a gauge; each must never
    /// fall.
    ///
    /// - Precondition: every sample has as many label values as there are labels.
    package func counter(
        _ name: String, help: String, labels: [String] = [], read: @escaping @Sendable () -> [Sample]
    ) throws(MetricError) {
        try register(name, .counter, help, labels) { Self.series(of: read(), name, labels) }
    }

    /// Every metric in the Prometheus text exposition format 0.0.4, ordered by name and label values. Serve it as
    /// ``contentType``.
    package func exposition() -> String {
        let families = families.withLock { Array($0.values) }
        var text = ExpositionText()
        for family in families.sorted(by: { $0.descriptor.name < $1.descriptor.name }) {
            let series = family.read().sorted { $0.labelValues.lexicographicallyPrecedes($1.labelValues) }
            text.append(family.descriptor, series)
        }
        return text.text
    }

    /// The media type of ``exposition()``.
    package static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    private func register(
        _ name: String, _ kind: MetricKind, _ help: String, _ labels: [String] = [],
        read: @escaping @Sendable () -> [Series]
    ) throws(MetricError) {
        let descriptor = try MetricDescriptor(name: name, kind: kind, help: help, labels: labels)
        let isNew = families.withLock { families in
            guard families[name] == nil else { return false }
            families[name] = Family(descriptor: descriptor, read: read)
            return true
        }
        guard isNew else { throw .duplicate(name) }
    }

    private static func series(of samples: [Sample], _ name: String, _ labels: [String]) -> [Series] {
        samples.map { sample in
            precondition(sample.labelValues.count == labels.count, "\(name) has \(labels.count) labels")
            return .value(labels: sample.labelValues, sample.value)
        }
    }
}
