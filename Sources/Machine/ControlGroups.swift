/// The control groups (cgroups) of this process.
enum ControlGroups {
    /// The folders of the process's cgroup and of those above it, in both versions, by what `/proc/self/cgroup` says. In a
    /// container the path may lie outside what is mounted, of which the top is then the process's own group.
    static func folders(
        membership: String = SystemFile.text("/proc/self/cgroup") ?? "0::/"
    ) -> [(path: String, isUnified: Bool)] {
        membership.split(separator: "\n").flatMap { line -> [(path: String, isUnified: Bool)] in
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3 else { return [] }
            let isUnified = fields[0] == "0" && fields[1].isEmpty
            guard isUnified || fields[1].split(separator: ",").contains("memory") else { return [] }
            let root = isUnified ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory"
            let names = fields[2].split(separator: "/")
            return (0...names.count).map { depth in
                (([root] + names.prefix(depth).map(String.init)).joined(separator: "/"), isUnified)
            }
        }
    }
}
