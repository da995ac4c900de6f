private import CMachine

/// The processors of this process, grouped by the last-level cache that they share: one group on small machines, one for
/// each chiplet or socket on large ones. What a worker has written is near to the workers of its own group and far from all
/// others, so images are divided among groups before anything else is.
public struct CacheDomains: Sendable, Equatable {
    /// Processor numbers of each group, ascending, groups in the order of their first processor; never empty.
    public let processors: [[Int]]

    /// How many groups there are, at least 1.
    public var count: Int { processors.count }

    /// Groups as they are; for tests and for machines that don't say.
    public init(processors: [[Int]]) {
        precondition(!processors.isEmpty)
        self.processors = processors
    }

    /// All processors together.
    public static let undivided = CacheDomains(processors: [[]])

    /// What the kernel says of the processors in this process's affinity mask.
    public static func available() -> CacheDomains {
        var numbers = [Int32](repeating: 0, count: 1_024)
        let count = machine_processor_numbers(&numbers, numbers.count)
        return CacheDomains(allowed: numbers[..<count].map(Int.init), folder: "/sys/devices/system/cpu")
    }

    /// Groups `allowed` by the caches of highest level that `folder` names, laid out as /sys/devices/system/cpu, or by the package
    /// where no shared cache is named. Processors that it says nothing of form a group.
    init(allowed: [Int], folder: String) {
        var groups: [String: [Int]] = [:]
        for processor in allowed.sorted() {
            groups[Self.neighbours(of: processor, folder: folder) ?? "", default: []].append(processor)
        }
        processors = groups.isEmpty ? [[]] : groups.values.sorted { $0[0] < $1[0] }
    }

    /// The list of processors that share a processor's cache of highest level, as the kernel writes it.
    ///
    /// Many arm64 processors have a cache for all cores that belongs to the interconnect, and the kernel names only the second level,
    /// which each core has for itself. Then those of the package count: a group for each core would have every core read all weights.
    private static func neighbours(of processor: Int, folder: String) -> String? {
        let caches = (0..<8).compactMap { index -> (level: Int, sharers: String)? in
            let cache = "\(folder)/cpu\(processor)/cache/index\(index)"
            guard let level = SystemFile.text(cache + "/level").flatMap({ Int($0.trimmedLine) }),
                let sharers = SystemFile.text(cache + "/shared_cpu_list")
            else { return nil }
            return (level, String(sharers.trimmedLine))
        }
        guard let last = caches.max(by: { $0.level < $1.level }) else { return nil }
        guard last.level <= 2, last.sharers == String(processor),
            let package = SystemFile.text("\(folder)/cpu\(processor)/topology/package_cpus_list")
        else { return last.sharers }
        return String(package.trimmedLine)
    }

    /// The group of a worker: groups have consecutive workers, as many each as divide up.
    public func domain(of worker: Int, workers: Int) -> Int { worker * count / workers }

    /// Into how many parts images must be divided for each part to stay in one group: 1 if the workers can't be divided evenly
    /// or there are fewer images than groups.
    public func parts(images: Int, workers: Int) -> Int {
        workers % count == 0 && images >= count ? count : 1
    }

    /// Runs `body` with the calling thread, which is to be worker `worker` of `workers`, kept in its group. If the kernel refuses,
    /// that costs only speed.
    public func keepThread(as worker: Int, of workers: Int, while body: () -> Void) {
        guard count > 1 else { return body() }
        func restrict(to processors: [Int]) {
            _ = machine_restrict_thread(processors.map(Int32.init), processors.count)
        }
        restrict(to: processors[domain(of: worker, workers: workers)])
        body()
        restrict(to: processors.flatMap(\.self))
    }
}
