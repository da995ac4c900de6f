import TestFixtures
import Testing

@testable import CommandLineInterface

@Suite("A text file's lines") struct TextLinesTests {
    @Test(
        "Class names are one a line, however lines end and whatever they hold",
        arguments: [
            ("", []), ("cat", ["cat"]), ("cat\ndog\n", ["cat", "dog"]), ("cat\r\ndog\r\n", ["cat", "dog"]),
            ("cat\n\ndog", ["cat", "", "dog"]), ("cat\n\u{301}a\n", ["cat", "\u{301}a"]), ("a\rb\n", ["a\rb"]),
        ])
    func lines(text: String, names: [String]) throws { #expect(try ClassNames.parse(Array(text.utf8)) == names) }

    @Test("What is no text, or longer than a file of names can be, is refused", arguments: [1, (8 << 20) + 1])
    func noText(count: Int) {
        let bytes = [UInt8](repeating: count == 1 ? 0xFF : 97, count: count)
        #expect(throws: ClassNames.NotText()) { try ClassNames.parse(bytes) }
    }

    @Test("A key file's keys are its lines, however these end")
    func keys() throws {
        let scratch = try Scratch()
        let path = try scratch.write(Array("# ours\r\nfirst\r\n\r\nsecond\nthird".utf8), to: "keys")
        #expect(try ServeOptions.keys(path) == ["first", "second", "third"])
    }
}
