import Glibc

/// The processor time of this process.
public enum ProcessorTime {
    /// Seconds since its start, all threads together, in user and kernel.
    public static var seconds: Double {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        return [usage.ru_utime, usage.ru_stime].reduce(0) { $0 + Double($1.tv_sec) + Double($1.tv_usec) / 1e6 }
    }
}
