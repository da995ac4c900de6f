import Testing

@testable import Arguments

@Suite struct ValueTests {
    @Test(
        "Sizes are read with their units",
        arguments: [
            ("0", 0), ("512", 512), ("1B", 1), ("64kB", 64_000), ("64KiB", 65_536), ("32MiB", 33_554_432),
            ("32mib", 33_554_432), ("2MB", 2_000_000), ("3GB", 3_000_000_000), ("1GiB", 1 << 30), ("007", 7),
            ("8589934591GiB", 8_589_934_591 << 30),
        ])
    func sizes(text: String, bytes: Int) {
        #expect(ValueSyntax.bytes().parse(text) == bytes)
    }

    @Test(
        "Sizes that are ambiguous, signed, fractional, too large or no sizes are refused",
        arguments: [
            "", "M", "32M", "1G", "-1", "+1", "1.5GiB", "32 MiB", "8589934592GiB", "99999999999999999999", "1PiB", "٣",
            "0x10",
        ])
    func badSizes(text: String) {
        #expect(ValueSyntax.bytes().parse(text) == nil)
    }

    @Test(
        "Durations are read with their units",
        arguments: [
            ("0", .zero), ("0s", .zero), ("500ms", .milliseconds(500)), ("30s", .seconds(30)), ("2m", .seconds(120)),
            ("1h", .seconds(3600)), ("1H", .seconds(3600)),
        ] as [(String, Duration)])
    func durations(text: String, duration: Duration) {
        #expect(ValueSyntax.duration(in: .zero ... .seconds(86400)).parse(text) == duration)
    }

    @Test(
        "Durations without unit, out of range or no durations are refused",
        arguments: ["", "30", "-1s", "1.5s", "25h", "1d", "s", "9223372036854775807h", "1us"])
    func badDurations(text: String) {
        #expect(ValueSyntax.duration(in: .zero ... .seconds(86400)).parse(text) == nil)
    }

    @Test(
        "What is written back is read as the same value",
        arguments: [0, 1, 999, 1000, 1024, 1536, 1 << 20, 1 << 30, 5_000_000])
    func unitRoundTrip(count: Int) {
        let bytes = ValueSyntax.bytes()
        #expect(bytes.parse(bytes.format(count)) == count)
        let duration = ValueSyntax.duration(in: .zero ... .seconds(1 << 32))
        #expect(duration.parse(duration.format(.milliseconds(count))) == .milliseconds(count))
    }

    @Test("Defaults are shown in the largest unit that fits")
    func format() {
        #expect(ValueSyntax.bytes().format(32 << 20) == "32MiB")
        #expect(ValueSyntax.bytes().format(0) == "0B")
        let duration = ValueSyntax.duration(in: .zero ... .seconds(3600))
        #expect(duration.format(.seconds(120)) == "2m")
        #expect(duration.format(.milliseconds(1500)) == "1500ms")
        #expect(ValueSyntax.list(of: .integer()).format([1, 2]) == "1,2")
    }

    @Test("Ranges hold at both ends, and say so")
    func ranges() {
        let syntax = ValueSyntax.integer(in: 1...8)
        #expect(["0", "1", "8", "9"].map(syntax.parse) == [nil, 1, 8, nil])
        #expect(syntax.rule == "a whole number from 1 to 8")
        #expect(ValueSyntax.integer(in: 1 ... .max).rule == "a whole number of at least 1")
        #expect(ValueSyntax.integer().rule == "a whole number")
        #expect(["-1", "0", "65535", "65536", "8080 "].map(ValueSyntax.port.parse) == [nil, 0, 65535, nil, nil])
    }

    @Test("Numbers must be finite", arguments: ["nan", "inf", "-inf", "1e999", "3", "", "x"])
    func numbers(text: String) {
        #expect(ValueSyntax.number(in: -2...2).parse(text) == nil)
    }

    @Test("A path is any text but none and NUL")
    func paths() {
        #expect(["", "a\u{0}b", " ", "-"].map(ValueSyntax.file.parse) == [nil, nil, " ", "-"])
    }

    @Test("What shells need to complete a value is known")
    func completions() {
        #expect(Sample.solver.specification.completion == .choices(["euler", "heun", "midpoint"]))
        #expect(Sample.keyFile.specification.completion == .file)
        #expect(ValueSyntax.folder.completion == .folder)
    }
}
