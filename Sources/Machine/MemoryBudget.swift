import Glibc

/// How much more memory this process may take, as far as the system says: the least that its cgroup and those above it,
/// its own limits and the machine leave. Asked before a model is loaded, since the kernel ends a process that goes
/// beyond a cgroup's limit without asking it.
public struct MemoryBudget: Sendable, Equatable {
    /// Bytes that may still be taken.
    public let availableBytes: Int
    /// What sets the bound, for a message, such as "the memory limit of its cgroup, 512.0 MiB".
    public let bound: String

    /// What is left now; nil if the system tells nothing.
    public static func now() -> MemoryBudget? {
        (cgroups() + [machine(), addressSpace()].compactMap { $0 }).min { $0.availableBytes < $1.availableBytes }
    }

    // MARK: Control groups

    /// What a cgroup leaves: its limit less what is in use, but for pages of files that the kernel would drop first.
    ///
    /// - Parameters:
    ///   - limit: `memory.max` (version 2) or `memory.limit_in_bytes` (version 1).
    ///   - usage: `memory.current` or `memory.usage_in_bytes`.
    ///   - statistics: `memory.stat`.
    /// - Returns: nil if there is no limit or the files aren't of the expected form.
    static func cgroup(limit: String, usage: String, statistics: String) -> MemoryBudget? {
        // Version 1 says "no limit" by a number beyond all memory, version 2 by "max".
        guard let limit = Int(limit.trimmedLine), limit < 1 << 60, let usage = Int(usage.trimmedLine) else {
            return nil
        }
        let fields = Dictionary(
            statistics.split(separator: "\n").compactMap { line -> (String, Int)? in
                let words = line.split(separator: " ")
                return words.count == 2 ? Int(words[1]).map { (String(words[0]), $0) } : nil
            }, uniquingKeysWith: { first, _ in first })
        // In version 1 those with "total_" count the groups below too, as the usage does.
        let files = ["inactive_file", "active_file"].reduce(0) { $0 + (fields["total_" + $1] ?? fields[$1] ?? 0) }
        return MemoryBudget(
            availableBytes: max(0, limit - max(0, usage - files)),
            bound: "the memory limit of its cgroup, \(text(ofBytes: limit))")
    }

    private static func cgroups() -> [MemoryBudget] {
        ControlGroups.folders().compactMap { folder in
            func file(_ name: String) -> String? { SystemFile.text("\(folder.path)/\(name)") }
            let (limit, usage) =
                folder.isUnified
                ? (file("memory.max"), file("memory.current"))
                : (file("memory.limit_in_bytes"), file("memory.usage_in_bytes"))
            guard let limit, let usage else { return nil }
            return cgroup(limit: limit, usage: usage, statistics: file("memory.stat") ?? "")
        }
    }

    // MARK: The machine and the process's own limits

    private static func machine() -> MemoryBudget? {
        SystemFile.text("/proc/meminfo").flatMap { kibibytes("MemAvailable", in: $0) }.map {
            MemoryBudget(availableBytes: $0 << 10, bound: "the machine's memory")
        }
    }

    private static func addressSpace() -> MemoryBudget? {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit) == 0, limit.rlim_cur < 1 << 60,
            let used = SystemFile.text("/proc/self/status").flatMap({ kibibytes("VmSize", in: $0) })
        else { return nil }
        return MemoryBudget(
            availableBytes: max(0, Int(limit.rlim_cur) - used << 10),
            bound: "its limit of address space (ulimit -v), \(text(ofBytes: Int(limit.rlim_cur)))")
    }

    /// The number of a line such as `MemAvailable:   12345 kB`.
    static func kibibytes(_ name: String, in text: String) -> Int? {
        let line = text.split(separator: "\n").first { $0.hasPrefix(name + ":") }
        return line?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) }
    }

    /// A size in MiB with one digit, for messages.
    public static func text(ofBytes bytes: Int) -> String {
        let tenths = (bytes * 10 + (1 << 19)) >> 20
        return "\(tenths / 10).\(tenths % 10) MiB"
    }
}
