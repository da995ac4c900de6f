import Testing

@testable import UntrustedText

/// Keeps the promise that a file can be used whatever bytes its name has.
@Suite("Paths as text") struct PathTextTests {
    @Test(
        "have one text for every sequence of bytes, from which these come back",
        arguments: [
            Array("photos/café.jpg".utf8), [0xE9], [0x61, 0xE9, 0x2E, 0x6A], [0xC3], [0xC3, 0xA9, 0xC3],
            [0xFF, 0xFE, 0x0A],
            // An overlong slash, half of a surrogate pair, and beyond Unicode.
            [0xC0, 0xAF], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80],
            // The code points that stand for bytes, as names may have them themselves, and their neighbours.
            Array("\u{10FEE9}".utf8), Array("\u{10FE80}\u{10FEFF}".utf8), Array("\u{10FE7F}\u{10FF00}".utf8),
            [],
        ] as [[UInt8]])
    func roundTrip(bytes: [UInt8]) {
        let text = String(pathBytes: bytes)
        #expect(text.pathBytes == bytes)
        #expect(text.systemPath == bytes.map { CChar(bitPattern: $0) } + [0])
    }

    @Test("have one text for all bytes together, but the one that ends a path")
    func allBytes() { roundTrip(bytes: (0x01...0xFF).map { UInt8($0) }) }

    @Test("are themselves where they are UTF-8")
    func plain() { #expect(String(pathBytes: Array("a/é\u{1F600}".utf8)) == "a/é\u{1F600}") }

    @Test("are shown with escapes for bytes that are not UTF-8 and for control characters")
    func showing() {
        let text = String(pathBytes: Array("caf".utf8) + [0xE9, 0x0A, 0x1B] + Array("é".utf8))
        #expect(printable(text) == "caf\\xE9\\n\\u{1B}é")
        #expect(shown(text, atMost: 40) == "caf\\xE9\\n\\u{1B}\\u{00E9}")
    }
}
