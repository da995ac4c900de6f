/// Builds the Prometheus text exposition format, version 0.0.4.
struct ExpositionText {
    private(set) var text = ""

    /// Appends one metric with all its series; nothing at all where it has none, since promtool reports a TYPE without
    /// samples as unused.
    mutating func append(_ descriptor: MetricDescriptor, _ series: [MetricsRegistry.Series]) {
        guard !series.isEmpty else { return }
        text += "# HELP \(descriptor.name) \(Self.escaped(descriptor.help, quotes: false))\n"
        text += "# TYPE \(descriptor.name) \(descriptor.kind.rawValue)\n"
        for series in series {
            let labels = zip(descriptor.labels, series.labelValues).map { (name: $0, value: $1) }
            switch series {
            case .value(_, let value): appendSample(descriptor.name, labels, value)
            case .histogram(_, let snapshot): append(snapshot, named: descriptor.name, labels)
            }
        }
    }

    private mutating func append(
        _ snapshot: Histogram.Snapshot, named name: String, _ labels: [(name: String, value: String)]
    ) {
        var cumulative: UInt64 = 0
        for (bound, count) in zip(snapshot.bounds + [.infinity], snapshot.counts) {
            cumulative += count
            appendSample(name + "_bucket", labels + [("le", Self.number(bound))], Double(cumulative))
        }
        appendSample(name + "_sum", labels, snapshot.sum)
        appendSample(name + "_count", labels, Double(cumulative))
    }

    private mutating func appendSample(_ name: String, _ labels: [(name: String, value: String)], _ value: Double) {
        text += name
        if !labels.isEmpty {
            let pairs = labels.map { "\($0.name)=\"\(Self.escaped($0.value, quotes: true))\"" }
            text += "{\(pairs.joined(separator: ","))}"
        }
        text += " \(Self.number(value))\n"
    }

    static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value > 0 ? "+Inf" : "-Inf" }
        if let integer = Int64(exactly: value) { return String(integer) }
        return value.description
    }

    static func escaped(_ text: String, quotes: Bool) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\"" where quotes: result += "\\\""
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
