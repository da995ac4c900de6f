import Files
import Glibc
import TestFixtures
import Testing

@Suite("A file that is read at any offset")
struct RegularFileTests {
    @Test("gives the bytes of a range, and none beyond its end")
    func ranges() throws {
        let scratch = try Scratch()
        let file = try RegularFile(path: try scratch.write([1, 2, 3, 4, 5] as [UInt8], to: "file"))
        #expect(try file.bytes(in: 1..<4) == [2, 3, 4])
        #expect(try file.bytes(in: 5..<5) == [])
        #expect(try file.bytes(atMost: 5) == [1, 2, 3, 4, 5])
        let beyond = #expect(throws: FileError.self) { try file.bytes(in: 3..<6) }
        #expect(beyond?.kind == .unreadable)
        let large = #expect(throws: FileError.self) { try file.bytes(atMost: 4) }
        #expect(large?.kind == .tooLarge)
    }

    @Test(
        "is a regular file that is there",
        arguments: [
            ("/nonexistent", "No such file"), ("/dev/zero", "not a regular"), ("/", "not a regular"), ("a\0b", "NUL"),
        ])
    func unreadable(path: String, reason: String) {
        let error = #expect(throws: FileError.self) { try RegularFile(path: path) }
        #expect(error?.kind == .unreadable)
        #expect(error?.description.contains(reason) == true, "\(error?.description ?? "")")
    }

    @Test("that is cut short while it is open gives an error")
    func cutShort() throws {
        let scratch = try Scratch()
        let path = try scratch.write([UInt8](repeating: 7, count: 100), to: "file")
        let file = try RegularFile(path: path)
        try #require(truncate(path, 50) == 0)
        #expect(try file.bytes(in: 0..<50).count == 50)
        let error = #expect(throws: FileError.self) { try file.bytes(in: 0..<100) }
        #expect(error?.kind == .unreadable)
        #expect(error?.description.contains("became shorter") == true)
    }
}
