import Foundation
import TestFixtures
import Testing

@testable import JSON

@Suite("The JSON writer")
struct JSONWriterTests {
    @Test("Numbers read back as the same values, of every magnitude")
    func numbers() throws {
        var generator = SeededGenerator(seed: 4)
        var values: [Float] = [
            0, -0.0, 1, -1.5, .leastNonzeroMagnitude, .greatestFiniteMagnitude, 1e-5, 1e16, 16_777_216,
        ]
        while values.count < 5000 {
            let value = Float(bitPattern: UInt32(truncatingIfNeeded: generator.next()))
            if value.isFinite { values.append(value) }
        }
        var json = JSONWriter()
        try json.numbers(values)
        let read = try JSONDecoder().decode([Float].self, from: Data(json.bytes))
        #expect(read.map(\.bitPattern) == values.map(\.bitPattern))
        #expect(try JSONSerialization.jsonObject(with: Data(json.bytes)) is [Any])
    }

    @Test("What JSON has no number for is an error, not a document", arguments: [Float.nan, .infinity, -.infinity])
    func notFinite(value: Float) {
        var json = JSONWriter()
        #expect(throws: JSONWriter.NonFiniteNumber.self) { try json.numbers([1, value]) }
        #expect(throws: JSONWriter.NonFiniteNumber.self) { try json.numbers([1, Double(value)]) }
        #expect(throws: JSONWriter.NonFiniteNumber.self) { try json.member("x", value) }
    }

    @Test("Strings are escaped where they must be, and commas stand where they belong")
    func structure() throws {
        let text = "a\"\\\n\u{1}é😀"
        var json = JSONWriter()
        json.object { json in
            json.member("text", text)
            json.member("nothing") { json in json.array(of: [Int]()) { $0.integer($1) } }
            json.member("list") { json in json.array(of: [1, 2]) { $0.integer($1) } }
            json.member("inner") { json in json.object { $0.null("x") } }
            json.member("flag", true)
        }
        let read = try #require(try JSONSerialization.jsonObject(with: Data(json.bytes)) as? [String: Any])
        #expect(read["text"] as? String == text)
        #expect(read["list"] as? [Int] == [1, 2] && read["flag"] as? Bool == true && read.count == 5)
    }
}
