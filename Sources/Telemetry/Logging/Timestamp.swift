import Glibc

/// An instant of civil time, to the millisecond.
public struct Timestamp: Sendable, Hashable {
    /// Milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted; negative before.
    public let millisecondsSinceEpoch: Int64

    /// The instant so many milliseconds after the epoch.
    public init(millisecondsSinceEpoch: Int64) {
        self.millisecondsSinceEpoch = millisecondsSinceEpoch
    }

    /// What the system's clock says.
    public static func now() -> Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(millisecondsSinceEpoch: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000)
    }

    /// ISO 8601 in UTC with milliseconds, such as `2024-02-29T23:59:59.999Z`.
    ///
    /// Written out here because Foundation's formatters bring locale data into the binary that outweighs the service.
    public var iso8601: String {
        let (days, milliseconds) = Self.floorDivision(millisecondsSinceEpoch, 86_400_000)
        let (year, month, day) = Self.civilDate(daysSinceEpoch: days)
        let date = "\(year.padded(to: 4))-\(month.padded(to: 2))-\(day.padded(to: 2))"
        let hour = (milliseconds / 3_600_000).padded(to: 2)
        let minute = (milliseconds / 60_000 % 60).padded(to: 2)
        let second = (milliseconds / 1000 % 60).padded(to: 2)
        return "\(date)T\(hour):\(minute):\(second).\((milliseconds % 1000).padded(to: 3))Z"
    }

    /// The proleptic Gregorian date of a day. Years are counted from March, so that the leap day is a year's last and
    /// every month's first day is a linear function of its number; 400 years (146,097 days) repeat exactly.
    private static func civilDate(daysSinceEpoch: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let daysFromMarchOfYear0ToEpoch: Int64 = 719_468
        let (era, dayOfEra) = floorDivision(daysSinceEpoch + daysFromMarchOfYear0ToEpoch, 146_097)
        let leapDays = dayOfEra / 1460 - dayOfEra / 36_524 + dayOfEra / 146_096
        let yearOfEra = (dayOfEra - leapDays) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
        let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        return (era * 400 + yearOfEra + (month <= 2 ? 1 : 0), month, day)
    }

    private static func floorDivision(_ value: Int64, _ divisor: Int64) -> (quotient: Int64, remainder: Int64) {
        let (quotient, remainder) = value.quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
    }
}
