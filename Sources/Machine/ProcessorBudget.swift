private import CMachine

/// How many processors this process may really use: the smaller of its affinity mask and its cgroup's quota. A
/// container limited to two processors on a 64-processor host that started 64 workers would spend its quota spinning.
public enum ProcessorBudget {
    /// The number of workers that this process should start, at least 1.
    public static func available() -> Int {
        // Of every group above this process's the tightest counts.
        let quotas = ControlGroups.folders().filter(\.isUnified).compactMap { SystemFile.text($0.path + "/cpu.max") }
            .compactMap(quota(cpuMax:))
        return workers(affinity: machine_processors(), quotas: quotas)
    }

    /// The budget as a pure function: quotas are in processors and rounded down, but never below 1.
    static func workers(affinity: Int, quotas: [Double]) -> Int {
        max(1, quotas.reduce(affinity) { min($0, Int($1)) })
    }

    /// Reads a cgroup v2 `cpu.max`, "max 100000" or "150000 100000", as processors; nil if unlimited or malformed.
    static func quota(cpuMax text: String) -> Double? {
        let fields = text.split(whereSeparator: \.isWhitespace)
        guard fields.count == 2, let limit = Double(fields[0]), let period = Double(fields[1]), period > 0, limit > 0
        else { return nil }
        return limit / period
    }
}
