import Glibc

/// An instant of civil time, to the millisecond.
package struct Timestamp: Sendable, Hashable {
    /// Milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted; negative before.
    package let millisecondsSinceEpoch: Int64

    package init(millisecondsSinceEpoch: Int64) {
        self.millisecondsSinceEpoch = millisecondsSinceEpoch
    }

    package static func now() -> Timestamp {
        Timestamp(millisecondsSinceEpoch: Int64(nanosecondsSinceEpoch() / 1_000_000))
    }

    /// The present time more exactly, as spans have it.
    package static func nanosecondsSinceEpoch() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    /// ISO 8601 in UTC with milliseconds, such as `2024-02-29T23:59:59.999Z`.
    ///
    /// Written out here because Foundation's formatters bring locale data into the binary that outweighs the service.
    package var iso8601: String {
        var (seconds, milliseconds) = millisecondsSinceEpoch.quotientAndRemainder(dividingBy: 1000)
        if milliseconds < 0 { (seconds, milliseconds) = (seconds - 1, milliseconds + 1000) }
        var (instant, parts) = (time_t(seconds), tm())
        gmtime_r(&instant, &parts)
        let date = [
            (Int(parts.tm_year) + 1900).padded(to: 4), (parts.tm_mon + 1).padded(to: 2), parts.tm_mday.padded(to: 2),
        ]
        let time = [parts.tm_hour, parts.tm_min, parts.tm_sec].map { $0.padded(to: 2) }
        return "\(date.joined(separator: "-"))T\(time.joined(separator: ":")).\(milliseconds.padded(to: 3))Z"
    }
}
