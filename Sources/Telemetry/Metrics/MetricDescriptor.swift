/// Why a metric could not be registered.
package enum MetricError: Error, Equatable, CustomStringConvertible {
    /// The name breaks a rule, which is stated.
    case invalidName(String, rule: String)
    /// The metric of this name has no help text.
    case missingHelp(String)
    /// A label of the metric breaks a rule, which is stated.
    case invalidLabel(metric: String, label: String, rule: String)
    /// The histogram's bounds are not finite and strictly ascending, or there are none.
    case invalidBuckets(String)
    /// A metric of this name has been registered before.
    case duplicate(String)

    package var description: String {
        switch self {
        case .invalidName(let name, let rule): "metric name '\(name)': \(rule)"
        case .missingHelp(let name): "metric '\(name)' needs a help text"
        case .invalidLabel(let metric, let label, let rule): "label '\(label)' of metric '\(metric)': \(rule)"
        case .invalidBuckets(let name): "bucket bounds of '\(name)' must be finite, strictly ascending, at least one"
        case .duplicate(let name): "metric '\(name)' is already registered"
        }
    }
}

/// The types of metric of the Prometheus text format that are used here.
enum MetricKind: String {
    case counter
    case gauge
    case histogram
}

/// A metric's name, type, help and label names, checked.
struct MetricDescriptor: Sendable {
    let name: String
    let kind: MetricKind
    let help: String
    let labels: [String]

    /// Checks against the exposition format's grammar and the naming rules that `promtool check metrics` applies, so
    /// that a bad name is found where it is written.
    init(name: String, kind: MetricKind, help: String, labels: [String]) throws(MetricError) {
        if let rule = Self.brokenRule(name: name, kind: kind) { throw .invalidName(name, rule: rule) }
        guard !help.isEmpty else { throw .missingHelp(name) }
        for (index, label) in labels.enumerated() {
            if let rule = Self.brokenRule(label: label, kind: kind, before: labels[..<index]) {
                throw .invalidLabel(metric: name, label: label, rule: rule)
            }
        }
        self.name = name
        self.kind = kind
        self.help = help
        self.labels = labels
    }

    private static let foreignUnits: Set<Substring> = [
        "nanoseconds", "microseconds", "milliseconds", "minutes", "hours", "days", "ms", "us", "ns",
        "bits", "kilobytes", "megabytes", "gigabytes", "kibibytes", "mebibytes", "gibibytes", "percent",
    ]

    private static func brokenRule(name: String, kind: MetricKind) -> String? {
        guard isSnakeCase(name) else {
            return "must be lower-case letters, digits and single underscores, beginning with a letter"
        }
        guard name.hasSuffix("_total") == (kind == .counter) else {
            return kind == .counter ? "a counter's name ends in _total" : "only a counter's name ends in _total"
        }
        if ["_bucket", "_count", "_sum"].contains(where: name.hasSuffix) {
            return "must not end in _bucket, _count or _sum, which name a histogram's series"
        }
        if let unit = name.split(separator: "_").first(where: foreignUnits.contains) {
            return "uses base units (seconds, bytes, ratio), not \(unit)"
        }
        return nil
    }

    private static func brokenRule(label: String, kind: MetricKind, before: ArraySlice<String>) -> String? {
        guard isSnakeCase(label) else {
            return "must be lower-case letters, digits and single underscores, beginning with a letter"
        }
        if kind == .histogram, label == "le" { return "is taken by the histogram's buckets" }
        return before.contains(label) ? "is given twice" : nil
    }

    private static func isSnakeCase(_ name: String) -> Bool {
        let (letters, digits) = ("a"..."z" as ClosedRange<Unicode.Scalar>, "0"..."9" as ClosedRange<Unicode.Scalar>)
        guard let first = name.unicodeScalars.first, letters.contains(first) else { return false }
        return name.unicodeScalars.split(separator: "_", omittingEmptySubsequences: false).allSatisfy { word in
            !word.isEmpty && word.allSatisfy { letters.contains($0) || digits.contains($0) }
        }
    }
}
