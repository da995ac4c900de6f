import Console
import Foundation
import TestFixtures
import Testing

@testable import Extraction

/// Keeps the promise that a bulk run that was killed at any time goes on behind what it had, and never from anything else.
@Suite("Progress files") @MainActor
struct ProgressFileTests {
    private static let outcomes: [ProgressFile.Outcome] = [
        .row([1, 2, 3]), .skipped("b.jpg: is cut off"), .row([]), .row(Array(0..<200)),
    ]

    private func open(
        _ scratch: Scratch, _ settings: [String: String] = ["--at": "end"],
        _ continuation: ProgressFile.Continuation = .required, changed: Int = .max
    ) throws -> ProgressFile {
        try ProgressFile(of: scratch.path("a.npy"), settings: settings, continuation) { index in
            index < 10 ? UInt64(index == changed ? 99 : index) : nil
        }
    }

    private func outcomes(_ file: ProgressFile) throws -> [ProgressFile.Outcome] {
        var found: [ProgressFile.Outcome] = []
        try file.forEach { index, outcome in
            #expect(index == found.count)
            found.append(outcome)
        }
        return found
    }

    /// The bytes of a file with all outcomes, and how long it was after each.
    private func whole(_ scratch: Scratch) throws -> (bytes: Data, lengths: [Int]) {
        let path = scratch.path("a.npy.progress")
        func length() throws -> Int { try Data(contentsOf: URL(filePath: path)).count }
        let file = try open(scratch)
        var lengths = [try length()]
        for (index, outcome) in Self.outcomes.enumerated() {
            try file.append(outcome, fingerprint: UInt64(index))
            lengths.append(try length())
        }
        #expect(file.count == 4 && file.rows == 3)
        return (try Data(contentsOf: URL(filePath: path)), lengths)
    }

    @Test("give back whole records, wherever they were cut off, and take more behind them")
    func truncations() throws {
        let scratch = try Scratch()
        let (bytes, lengths) = try whole(scratch)
        for length in 0...bytes.count {
            try scratch.write(bytes.prefix(length), to: "a.npy.progress")
            let file = try open(scratch)
            let expected = lengths.dropFirst().count { $0 <= length }
            try #require(file.count == expected, "cut at \(length)")
            #expect(try outcomes(file) == Array(Self.outcomes.prefix(expected)))
            for index in expected..<4 { try file.append(Self.outcomes[index], fingerprint: UInt64(index)) }
            #expect(try Data(contentsOf: URL(filePath: file.path)) == bytes, "cut at \(length)")
        }
    }

    @Test("end at the first byte that is not what was written")
    func damage() throws {
        let scratch = try Scratch()
        let (bytes, lengths) = try whole(scratch)
        for place in lengths[0]..<bytes.count {
            var damaged = bytes
            damaged[place] ^= 0x10
            try scratch.write(damaged, to: "a.npy.progress")
            #expect(try open(scratch).count == lengths.dropFirst().count { $0 <= place }, "byte \(place)")
        }
    }

    @Test("hold for the images in front that are still the same")
    func changedImages() throws {
        let scratch = try Scratch()
        _ = try whole(scratch)
        #expect(try open(scratch, changed: 2).count == 2)
        #expect(try open(scratch).count == 2, "what is behind is gone")
    }

    @Test("of other settings are refused or dropped, as is asked for; of the same, dropped only if that is asked for")
    func settings() throws {
        let scratch = try Scratch()
        _ = try whole(scratch)
        let error = #expect(throws: CommandFailure.self) { try open(scratch, ["--at": "0", "x": "y"]) }
        #expect(error?.status == .usage)
        #expect(error?.description.contains("--at was end and is 0; x was not given and is y") == true)
        #expect(try open(scratch, ["--at": "end"], .ifSame).count == 4)
        let other = try open(scratch, ["--at": "0"], .ifSame)
        #expect(other.count == 0 && other.differences == ["--at was end and is 0"])
    }

    @Test("begin again where that is asked for") func restarts() throws {
        let scratch = try Scratch()
        _ = try whole(scratch)
        #expect(try open(scratch, ["--at": "end"], .never).count == 0)
    }

    @Test("are written by one process at a time, and never over another file")
    func exclusion() throws {
        let scratch = try Scratch()
        let first = try open(scratch)
        let held = #expect(throws: CommandFailure.self) { try open(scratch) }
        #expect(held?.status == .unwritableOutput && held?.description.contains("another process") == true)
        withExtendedLifetime(first) {}
        for foreign in ["kept", "headwater progress 1 [1]\n", "a\nb"] {
            let other = try Scratch()
            try other.write(Array(foreign.utf8), to: "a.npy.progress")
            let error = #expect(throws: CommandFailure.self) { try open(other) }
            #expect(error?.description.contains("is not the progress of a run") == true)
            #expect(try String(contentsOfFile: other.path("a.npy.progress"), encoding: .utf8) == foreign)
        }
    }

    @Test(
        "Paths are listed one a line, those with line breaks as sha256sum lists them",
        arguments: [
            ("a b.jpg", "a b.jpg\n"), ("a\\b.jpg", "a\\b.jpg\n"), ("a\nb\\\r.jpg", "\\a\\nb\\\\\\r.jpg\n"),
            ("\\a.jpg", "\\\\\\a.jpg\n"), ("é\u{1B}", "é\u{1B}\n"),
        ])
    func pathList(path: String, line: String) { #expect(PathList.line(path) == Array(line.utf8)) }

    @Test("Lists of paths end their lines in LF or CRLF, or in zero bytes; empty ones are passed over")
    func lists() {
        #expect(ImageInputs.paths(in: Array("a\r\n\n b \nc".utf8), endsInZero: false) == ["a", " b ", "c"])
        #expect(ImageInputs.paths(in: Array("a\r\n\0\0b\n".utf8), endsInZero: true) == ["a\r\n", "b\n"])
    }
}
