import Testing

@testable import Machine

@Suite("Memory budget")
struct MemoryBudgetTests {
    private static let mebibyte = 1 << 20

    @Test(
        "A cgroup leaves its limit less what is used, but for pages of files, in both versions",
        arguments: [
            // Version 2: of 300 MiB in use 60 are files'.
            (
                "536870912\n", "314572800\n",
                "anon 251658240\nfile 62914560\ninactive_file 41943040\nactive_file 20971520\n", 272
            ),
            // Version 1: the total counts the groups below as well.
            (
                "536870912\n", "314572800\n",
                "cache 1\ninactive_file 1048576\ntotal_inactive_file 41943040\ntotal_active_file 20971520\n", 272
            ),
            ("536870912", "314572800", "", 212), ("1048576", "314572800", "", 0),
        ] as [(String, String, String, Int)])
    func cgroup(limit: String, usage: String, statistics: String, mebibytes: Int) throws {
        let budget = try #require(MemoryBudget.cgroup(limit: limit, usage: usage, statistics: statistics))
        #expect(budget.availableBytes == mebibytes * Self.mebibyte)
        #expect(budget.bound.hasPrefix("the memory limit of its cgroup, "))
    }

    @Test(
        "A cgroup without a limit, or files of another form, bound nothing",
        arguments: [("max\n", "1"), ("9223372036854771712", "1"), ("none", "1"), ("1", "?"), ("", "")])
    func unlimited(limit: String, usage: String) {
        #expect(MemoryBudget.cgroup(limit: limit, usage: usage, statistics: "") == nil)
    }

    @Test("The folders of a process's cgroup and of all above it are found in both versions, other controllers' aren't")
    func folders() {
        let hybrid = ControlGroups.folders(membership: "5:cpu,memory:/a/b\n3:devices:/a/b\n0::/c\n")
        #expect(
            hybrid.map(\.path) == [
                "/sys/fs/cgroup/memory", "/sys/fs/cgroup/memory/a", "/sys/fs/cgroup/memory/a/b", "/sys/fs/cgroup",
                "/sys/fs/cgroup/c",
            ])
        #expect(hybrid.map(\.isUnified) == [false, false, false, true, true])
        #expect(ControlGroups.folders(membership: "0::/\n").map(\.path) == ["/sys/fs/cgroup"])
        #expect(ControlGroups.folders(membership: "garbage").isEmpty)
    }

    @Test("Sizes are read from the kernel's tables, and this machine has some memory left")
    func machine() throws {
        #expect(MemoryBudget.kibibytes("VmSize", in: "Name:\tx\nVmSize:\t  1234 kB\nVmRSS:\t 5 kB\n") == 1234)
        #expect(MemoryBudget.kibibytes("VmSize", in: "VmSizes: 1 kB") == nil)
        #expect(try #require(MemoryBudget.now()).availableBytes > 0)
        #expect(MemoryBudget.text(ofBytes: 3 << 19) == "1.5 MiB")
    }
}
