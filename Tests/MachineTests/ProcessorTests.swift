import Foundation
import Testing

@testable import Machine

@Suite("Processors")
struct ProcessorTests {
    @Test(
        "The budget is the smaller of the affinity and the tightest quota, never below one",
        arguments: [
            (8, [], 8), (8, ["max 100000"], 8), (8, ["250000 100000"], 2), (8, ["50000 100000"], 1),
            (2, ["400000 100000"], 2), (8, ["garbage", "-1 100000", "300000 100000", "600000 100000"], 3),
        ] as [(Int, [String], Int)])
    func budget(affinity: Int, quotas: [String], expected: Int) {
        let parsed = quotas.compactMap(ProcessorBudget.quota(cpuMax:))
        #expect(ProcessorBudget.workers(affinity: affinity, quotas: parsed) == expected)
        #expect(ProcessorBudget.available() >= 1)
    }

    @Test("Processors are grouped by the cache of highest level that they share, as far as the kernel says")
    func domains() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "headwater-caches-\(UUID())")
        defer { try? FileManager.default.removeItem(at: folder) }
        for (processor, sharers) in ["0-1,8", "0-1,8", "2-3", "2-3"].enumerated() {
            for (index, (level, list)) in [("1", "\(processor)"), ("3", sharers), ("2", "\(processor)")].enumerated() {
                let cache = folder.appending(path: "cpu\(processor)/cache/index\(index)")
                try FileManager.default.createDirectory(at: cache, withIntermediateDirectories: true)
                try Data("\(level)\n".utf8).write(to: cache.appending(path: "level"))
                try Data("\(list)\n".utf8).write(to: cache.appending(path: "shared_cpu_list"))
            }
        }
        #expect(CacheDomains(allowed: [3, 0, 1, 2], folder: folder.path).processors == [[0, 1], [2, 3]])
        #expect(CacheDomains(allowed: [1, 2], folder: folder.path).processors == [[1], [2]])
        #expect(CacheDomains(allowed: [0, 5, 6], folder: folder.path).processors == [[0], [5, 6]])
        #expect(CacheDomains(allowed: [0, 1], folder: "/nowhere").processors == [[0, 1]])
        #expect(CacheDomains.available().processors.joined().count >= 1)
    }

    @Test("Where the kernel names no cache that processors share, those of a package are a group")
    func packages() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "headwater-caches-\(UUID())")
        defer { try? FileManager.default.removeItem(at: folder) }
        for (processor, package) in ["0-1", "0-1", "2-3", "2-3"].enumerated() {
            let files = [
                "cache/index0/level": "1", "cache/index0/shared_cpu_list": "\(processor)",
                "cache/index1/level": "2", "cache/index1/shared_cpu_list": "\(processor)",
                "topology/package_cpus_list": package,
            ]
            for (name, text) in files {
                let file = folder.appending(path: "cpu\(processor)/\(name)")
                try FileManager.default.createDirectory(
                    at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
                try Data("\(text)\n".utf8).write(to: file)
            }
        }
        #expect(CacheDomains(allowed: [0, 1, 2, 3], folder: folder.path).processors == [[0, 1], [2, 3]])
    }

    @Test(
        "Images are divided among groups of processors first, where workers and images allow it",
        arguments: [(1, 8, 4, 1), (2, 8, 4, 2), (2, 1, 4, 1), (4, 6, 8, 4), (3, 8, 8, 1)])
    func imageParts(groups: Int, images: Int, workers: Int, expected: Int) {
        let domains = CacheDomains(processors: (0..<groups).map { [$0] })
        #expect(domains.parts(images: images, workers: workers) == expected)
        let homes = (0..<workers).map { domains.domain(of: $0, workers: workers) }
        #expect(homes == homes.sorted() && Set(homes).count == groups)
    }
}
