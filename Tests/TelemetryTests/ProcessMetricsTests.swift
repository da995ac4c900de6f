import Foundation
import Testing

@testable import Telemetry

@Suite struct ProcessMetricsTests {
    @Test("Every process metric is there, with a plausible value")
    func values() throws {
        let registry = MetricsRegistry()
        try registry.registerProcessMetrics()
        var values: [String: Double] = [:]
        for line in registry.exposition().split(separator: "\n") where !line.hasPrefix("#") {
            let words = line.split(separator: " ")
            values[String(words[0])] = Double(words[1])
        }
        #expect(try #require(values["process_resident_memory_bytes"]) > 1_000_000)
        let resident = try #require(values["process_resident_memory_bytes"])
        #expect(try #require(values["process_virtual_memory_bytes"]) >= resident)
        #expect(try #require(values["process_virtual_memory_max_bytes"]) >= resident)
        #expect(try #require(values["process_threads"]) >= 1)
        #expect(try #require(values["process_open_fds"]) >= 3)
        #expect(try #require(values["process_max_fds"]) >= #require(values["process_open_fds"]))
        #expect(try #require(values["process_cpu_seconds_total"]) > 0)
        let age = Date.now.timeIntervalSince1970 - (try #require(values["process_start_time_seconds"]))
        #expect(age > -2 && age < 86400)
    }

    @Test("A program name with spaces and parentheses doesn't shift the fields")
    func hostileName() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 0 0 0 30 40 0 0 20 0 5 0 1234 99 321 18446744073709551615 1"
        let status = ProcessStatus(stat: stat)
        #expect(status?.threads == 5)
        #expect(status?.startTicks == 1234)
        #expect(status?.virtualBytes == 99)
        #expect(status?.residentPages == 321)
    }

    @Test("Text that isn't a status gives nothing", arguments: ["", "7 (a)", "7 (a) S 1 2", "no parentheses"])
    func malformed(stat: String) {
        #expect(ProcessStatus(stat: stat) == nil)
    }

    @Test("The boot time is read from its line")
    func bootTime() {
        #expect(ProcessStatus.bootTime(stat: "cpu 1 2\nbtime 1700000000\nprocesses 3\n") == 1_700_000_000)
        #expect(ProcessStatus.bootTime(stat: "cpu 1 2\n") == nil)
    }
}

/// Debian's and Ubuntu's package `prometheus` brings the tool.
private let promtool = ["/usr/bin/promtool", "/usr/local/bin/promtool"].first(
    where: FileManager.default.isExecutableFile(atPath:))

@Suite struct PromtoolTests {
    @Test(
        "promtool finds no fault",
        .enabled(if: promtool != nil, "promtool (package prometheus) is not installed"))
    func checkMetrics() throws {
        let registry = MetricsRegistry()
        try registry.registerProcessMetrics()
        try registry.counter("headwater_requests_total", help: "Requests.", labels: ["route"])["/\"a\"\n\\"].increment()
        try registry.gauge("headwater_images_waiting", help: "Images \\ waiting\nnow.").set(.nan)
        let bounds = HistogramBuckets.seconds
        try registry.histogram("headwater_queue_seconds", help: "Seconds.", labels: ["stage"], bounds: bounds)["x"]
            .observe(0.003)

        let process = Process()
        process.executableURL = URL(filePath: try #require(promtool))
        process.arguments = ["check", "metrics"]
        let (input, output) = (Pipe(), Pipe())
        process.standardInput = input
        process.standardOutput = output
        process.standardError = output
        try process.run()
        try input.fileHandleForWriting.write(contentsOf: Data(registry.exposition().utf8))
        try input.fileHandleForWriting.close()
        let faults = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0, "\(String(decoding: faults, as: UTF8.self))")
    }
}
