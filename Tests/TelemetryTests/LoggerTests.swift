import Foundation
import Synchronization
import Testing

@testable import Telemetry

/// Keeps the lines it gets.
private final class MemorySink: LogSink {
    private let stored = Mutex<[String]>([])
    var lines: [String] { stored.withLock { $0 } }
    func write(_ line: [UInt8]) { stored.withLock { $0.append(String(decoding: line, as: UTF8.self)) } }
}

private let instant = Timestamp(millisecondsSinceEpoch: 1_709_251_199_999)

private func logger(_ format: LogFormat, _ sink: MemorySink, level: LogLevel = .debug) -> Logger {
    Logger(level: level, format: format, sink: sink, clock: { instant })
}

@Suite struct LoggerTests {
    @Test("A JSON line holds time, level, message, then the fields in order, each with its type")
    func json() {
        let sink = MemorySink()
        logger(.json, sink).info(
            "request answered",
            ["request": "r1", "status": 200, "seconds": 0.25, "cached": false, "ratio": .number(.nan)])
        let expected =
            #"{"time":"2024-02-29T23:59:59.999Z","level":"info","message":"request answered","#
            + #""request":"r1","status":200,"seconds":0.25,"cached":false,"ratio":"nan"}"# + "\n"
        #expect(sink.lines == [expected])
    }

    @Test("A text line quotes only what could be misread")
    func text() {
        let sink = MemorySink()
        logger(.text, sink).warning(
            "slow client", ["address": "127.0.0.1", "path": "/a b", "query": "a=1", "empty": ""])
        #expect(
            sink.lines == [
                #"2024-02-29T23:59:59.999Z warning slow client address=127.0.0.1 path="/a b" query="a=1" empty="""#
                    + "\n"
            ])
    }

    @Test("Below the level nothing is written, nor evaluated")
    func levels() {
        let sink = MemorySink()
        let log = logger(.json, sink, level: .warning)
        func unexpected() -> String {
            Issue.record("evaluated below the level")
            return ""
        }
        log.log(.debug, unexpected())
        log.info("x", ["a": .string(unexpected())])
        log.warning("w")
        log.error("e")
        #expect(sink.lines.count == 2)
        #expect(LogLevel.allCases == LogLevel.allCases.sorted())
    }

    @Test(
        "No value ends the line, forges a field, commands a terminal or reorders the display",
        arguments: LogFormat.allCases,
        ["a\nlevel=error", "\r\n", "\u{1B}[2J", "\u{0}", "\u{9B}31m", "\u{202E}x", "\u{2028}", "\" injected=\"1", "\\"])
    func injection(format: LogFormat, hostile: String) throws {
        let sink = MemorySink()
        logger(format, sink).info(hostile, ["key": .string(hostile), hostile: "value"])
        let line = try #require(sink.lines.first)
        #expect(line.unicodeScalars.dropLast().allSatisfy { $0.value >= 0x20 && !(0x7F...0x9F).contains($0.value) })
        #expect(!line.unicodeScalars.contains { $0.value == 0x202E || $0.value == 0x2028 })
        #expect(line.last == "\n")
        if format == .json {
            let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
            #expect(object?["message"] as? String == hostile)
            #expect(object?["key"] as? String == hostile)
        } else {
            #expect(!line.contains(" injected=\"1\""))
        }
    }

    @Test("A field can't pass for the line's own time, level or message")
    func reservedNames() {
        let sink = MemorySink()
        logger(.json, sink).info("m", ["level": "error"])
        #expect(sink.lines.first?.hasSuffix(#""level":"info","message":"m","level_":"error"}"# + "\n") == true)
    }

    @Test("Lines stay within what a pipe takes at once, valid and marked as truncated", arguments: LogFormat.allCases)
    func longLines(format: LogFormat) throws {
        let sink = MemorySink()
        var fields: LogFields = [:]
        for index in 0..<50 { fields["field\(index)"] = .string(String(repeating: "\n\u{1}é", count: 300)) }
        logger(format, sink).info(String(repeating: "m\"", count: 5000), fields)
        let line = try #require(sink.lines.first)
        #expect(line.utf8.count <= Logger.longestLine)
        #expect(line.contains("…") && line.contains("truncated") && line.hasSuffix("\n"))
        if format == .json {
            let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
            #expect(object?["truncated"] as? Bool == true)
        }
    }

    @Test(
        "Timestamps are ISO 8601 in UTC over leap years, centuries and before the epoch",
        arguments: [
            (0, "1970-01-01T00:00:00.000Z"), (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"), (951_868_800_007, "2000-03-01T00:00:00.007Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"), (1_735_689_599_123, "2024-12-31T23:59:59.123Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        ] as [(Int64, String)])
    func timestamps(milliseconds: Int64, text: String) {
        #expect(Timestamp(millisecondsSinceEpoch: milliseconds).iso8601 == text)
    }

    @Test("Days agree with Foundation's calendar since it is Gregorian throughout")
    func calendar() {
        for day in stride(from: -141_000, through: 200_000, by: 611) {
            let date = Date(timeIntervalSince1970: Double(day) * 86400)
            let expected = date.formatted(.iso8601.year().month().day())
            #expect(Timestamp(millisecondsSinceEpoch: Int64(day) * 86_400_000).iso8601.hasPrefix(expected))
        }
    }
}

@Suite struct DescriptorLogSinkTests {
    @Test("A full pipe drops lines instead of blocking, and says how many once it is read again")
    func fullPipe() throws {
        let pipe = Pipe()
        let (reader, writer) = (pipe.fileHandleForReading, pipe.fileHandleForWriting.fileDescriptor)
        let sink = DescriptorLogSink(descriptor: writer, format: .json, patience: .zero, clock: { instant })
        let line = [UInt8](repeating: UInt8(ascii: "x"), count: 1023) + [UInt8(ascii: "\n")]
        var written = 0
        while sink.droppedLines == 0 {
            sink.write(line)
            written += 1
        }
        sink.write(line)
        #expect(sink.droppedLines == 2)

        var pending = (written - 1) * line.count
        while pending > 0 { pending -= try #require(try reader.read(upToCount: pending)).count }
        sink.write(line)
        #expect(sink.droppedLines == 2)
        let text = String(decoding: reader.availableData, as: UTF8.self)
        #expect(text.contains(#""message":"log lines dropped","count":2}"#))
        #expect(text.hasSuffix("xxx\n"))
    }

    @Test("A reader that has gone costs lines, not the process")
    func closedReader() throws {
        let pipe = Pipe()
        try pipe.fileHandleForReading.close()
        let sink = DescriptorLogSink(
            descriptor: pipe.fileHandleForWriting.fileDescriptor, format: .text, patience: .zero)
        sink.write(Array("line\n".utf8))
        #expect(sink.droppedLines == 1)
    }

    @Test("Lines of many threads arrive whole")
    func wholeLines() async throws {
        let file = FileManager.default.temporaryDirectory.appending(path: "headwater-log-\(UUID().uuidString)")
        #expect(FileManager.default.createFile(atPath: file.path, contents: nil))
        defer { try? FileManager.default.removeItem(at: file) }
        let handle = try FileHandle(forWritingTo: file)
        let log = Logger(
            level: .info, format: .json,
            sink: DescriptorLogSink(descriptor: handle.fileDescriptor, format: .json))
        await withTaskGroup { group in
            for task in 0..<8 {
                group.addTask {
                    for line in 0..<100 { log.info("m", ["task": .integer(task), "line": .integer(line)]) }
                }
            }
        }
        let lines = try Data(contentsOf: file).split(separator: UInt8(ascii: "\n"))
        #expect(lines.count == 800)
        for line in lines { _ = try JSONSerialization.jsonObject(with: line) }
    }
}
