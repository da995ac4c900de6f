import Files
import Glibc

extension MetricsRegistry {
    /// Registers what the kernel tells of this process, read from `/proc/self` at each scrape, under the names that
    /// Prometheus' own client libraries use, so that dashboards and alerts for any program hold for this one. A value that
    /// can't be read is left out; a limit that isn't set is infinite.
    package func registerProcessMetrics() throws(MetricError) {
        try counter("process_cpu_seconds_total", help: "User and system processor time in seconds.") {
            Self.sample(ProcessStatus.processorSeconds())
        }
        try gauge("process_resident_memory_bytes", help: "Resident memory size in bytes.") {
            Self.sample(ProcessStatus.ofThisProcess()?.residentBytes)
        }
        try gauge("process_virtual_memory_bytes", help: "Virtual memory size in bytes.") {
            Self.sample(ProcessStatus.ofThisProcess()?.virtualBytes)
        }
        try gauge("process_virtual_memory_max_bytes", help: "Most virtual memory that may be used, in bytes.") {
            Self.sample(ProcessStatus.limit(RLIMIT_AS))
        }
        try gauge("process_threads", help: "Operating-system threads.") {
            Self.sample(ProcessStatus.ofThisProcess()?.threads)
        }
        try gauge("process_open_fds", help: "Open file descriptors.") {
            Self.sample(ProcessStatus.openDescriptors())
        }
        try gauge("process_max_fds", help: "Most file descriptors that may be open.") {
            Self.sample(ProcessStatus.limit(RLIMIT_NOFILE))
        }
        try gauge("process_start_time_seconds", help: "Start time since the Unix epoch in seconds.") {
            Self.sample(ProcessStatus.startTimeOfThisProcess())
        }
    }

    private static func sample(_ value: Double?) -> [Sample] { value.map { [Sample($0)] } ?? [] }
}

/// What `/proc/PID/stat` tells, of which a few fields are kept (proc(5)).
struct ProcessStatus: Equatable {
    let threads: Double
    /// When the process started, in clock ticks since the system did.
    let startTicks: Double
    let virtualBytes: Double
    let residentPages: Double

    var residentBytes: Double { residentPages * Double(sysconf(Int32(_SC_PAGESIZE))) }

    /// Nil if the text isn't of the expected form. The second field is the program's name in parentheses, which may
    /// itself hold spaces and parentheses, so fields are counted from the last closing one.
    init?(stat: String) {
        guard let nameEnd = stat.lastIndex(of: ")") else { return nil }
        let fields = stat[stat.index(after: nameEnd)...].split(whereSeparator: \.isWhitespace)
        // The first field after the name is number 3 in proc(5).
        func field(_ number: Int) -> Double? {
            fields.indices.contains(number - 3) ? Double(fields[number - 3]) : nil
        }
        guard let threads = field(20), let startTicks = field(22), let virtualBytes = field(23),
            let residentPages = field(24)
        else { return nil }
        self.threads = threads
        self.startTicks = startTicks
        self.virtualBytes = virtualBytes
        self.residentPages = residentPages
    }

    static func ofThisProcess() -> ProcessStatus? {
        contents(of: "/proc/self/stat").flatMap(ProcessStatus.init(stat:))
    }

    static func startTimeOfThisProcess() -> Double? {
        guard let status = ofThisProcess(), let system = contents(of: "/proc/stat"),
            let boot = bootTime(stat: system)
        else { return nil }
        return boot + status.startTicks / Double(sysconf(Int32(_SC_CLK_TCK)))
    }

    static func bootTime(stat: String) -> Double? {
        let line = stat.split(separator: "\n").first { $0.hasPrefix("btime ") }
        return line.flatMap { Double($0.dropFirst("btime ".count)) }
    }

    static func processorSeconds() -> Double? {
        var time = timespec()
        guard clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time) == 0 else { return nil }
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    static func openDescriptors() -> Double? {
        // Without the descriptor that reads the folder.
        (try? Folder.names(in: "/proc/self/fd")).map { Double($0.count - 1) }
    }

    static func limit(_ resource: __rlimit_resource) -> Double? {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(resource.rawValue), &limit) == 0 else { return nil }
        return limit.rlim_cur == .max ? .infinity : Double(limit.rlim_cur)
    }

    /// The text of a file of `/proc`; nil if it is unreadable or not UTF-8.
    private static func contents(of path: String) -> String? {
        (try? FileDescriptor.contents(of: path, limit: 1 << 24)).flatMap { String(validating: $0, as: UTF8.self) }
    }
}
