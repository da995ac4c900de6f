/// A unit that numbers may carry, as a multiple of the base unit.
private struct Unit {
    let symbol: String
    let factor: Int

    /// From the base unit upwards. A bare M or G is refused, since it means 10^6 to some and 2^20 to others.
    static let bytes = [
        Unit(symbol: "B", factor: 1), Unit(symbol: "kB", factor: 1000), Unit(symbol: "KiB", factor: 1 << 10),
        Unit(symbol: "MB", factor: 1_000_000), Unit(symbol: "MiB", factor: 1 << 20),
        Unit(symbol: "GB", factor: 1_000_000_000), Unit(symbol: "GiB", factor: 1 << 30),
    ]

    static let milliseconds = [
        Unit(symbol: "ms", factor: 1), Unit(symbol: "s", factor: 1000), Unit(symbol: "m", factor: 60_000),
        Unit(symbol: "h", factor: 3_600_000),
    ]

    /// The number of base units, or nil: digits, then one of the units in any case. A zero needs none, nor does
    /// any number where `bareIsBase`: it then counts base units.
    static func parse(_ text: String, _ units: [Unit], bareIsBase: Bool) -> Int? {
        let digits = text.utf8.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
        guard let count = Int(Substring(digits)) else { return nil }
        let symbol = text.utf8[digits.endIndex...]
        if symbol.isEmpty { return bareIsBase || count == 0 ? count : nil }
        let name = String(Substring(symbol)).lowercased()
        guard let unit = units.first(where: { $0.symbol.lowercased() == name }) else { return nil }
        let (product, overflow) = count.multipliedReportingOverflow(by: unit.factor)
        return overflow ? nil : product
    }

    /// In the largest unit that divides the number.
    static func format(_ count: Int, _ units: [Unit]) -> String {
        let unit = units.last { count != 0 && count.isMultiple(of: $0.factor) } ?? units[0]
        return "\(count / unit.factor)\(unit.symbol)"
    }
}

extension ValueSyntax where Value == Int {
    /// A number of bytes, such as `512`, `64KiB` or `32MiB`.
    package static func bytes(in range: ClosedRange<Int> = 0 ... .max) -> ValueSyntax {
        let format: @Sendable (Int) -> String = { Unit.format($0, Unit.bytes) }
        return ValueSyntax(
            placeholder: "SIZE",
            rule: "bytes with a unit (B, kB, KiB, MB, MiB, GB, GiB), such as 32MiB,"
                + bounds(of: range, format: format),
            parse: { text in
                Unit.parse(text, Unit.bytes, bareIsBase: true).flatMap { range.contains($0) ? $0 : nil }
            },
            format: format)
    }
}

extension ValueSyntax where Value == Duration {
    /// A duration to the millisecond, such as `500ms`, `30s`, `2m` or `1h`.
    package static func duration(in range: ClosedRange<Duration>) -> ValueSyntax {
        let format: @Sendable (Duration) -> String = { Unit.format(Int($0 / .milliseconds(1)), Unit.milliseconds) }
        return ValueSyntax(
            placeholder: "DURATION",
            rule: "a duration with its unit (ms, s, m, h), such as 30s, from \(format(range.lowerBound)) to "
                + format(range.upperBound),
            parse: { text in
                guard let count = Unit.parse(text, Unit.milliseconds, bareIsBase: false) else { return nil }
                let duration = Duration.milliseconds(count)
                return range.contains(duration) ? duration : nil
            },
            format: format)
    }
}
