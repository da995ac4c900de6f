import TestFixtures
import Testing

@testable import UntrustedText

/// Keeps the promise that no text from outside makes a comparison take longer than its length warrants.
@Suite("Text from outside") struct StreamSafeTextTests {
    @Test(
        "may carry as many accents as any language writes",
        arguments: [
            "", "café", "cafe\u{301}", "Z\u{351}\u{36b}\u{343}a\u{32a}l",
            Named("a thousand letters of two accents", String(repeating: "e\u{301}\u{323}", count: 1000)),
        ] as [Named<String>])
    func honest(text: Named<String>) { #expect(String(streamSafe: Array(text.value.utf8)) == text.value) }

    @Test("has at most 30 combining characters in a row")
    func combining() {
        let accents = String(repeating: "\u{301}", count: 30)
        #expect(("a" + accents).isStreamSafe && (accents + "a" + accents).isStreamSafe)
        #expect(!("a" + accents + "\u{323}").isStreamSafe)
        #expect(String(streamSafe: Array((accents + accents).utf8)) == nil)
    }

    @Test("commands no terminal, and is cut off, where a message holds it")
    func messages() {
        #expect(printable("é\u{1B}[2J\r\u{9B}\u{202E}\u{2028}") == "é\\u{1B}[2J\\r\\u{009B}\\u{202E}\\u{2028}")
        #expect(printable("abcd", atMost: 3) == "abc…" && printable("abc", atMost: 3) == "abc")
    }

    @Test("is UTF-8") func utf8() { #expect(String(streamSafe: [0x61, 0xFF]) == nil) }

    @Test("is shown as printable ASCII, and cut off by code points, of which one character may have millions")
    func showing() {
        #expect(shown("a\u{1B}[2Jé", atMost: 40) == "a\\u{1B}[2J\\u{00E9}")
        #expect(shown("abc", atMost: 3) == "abc")
        #expect(shown("abcd", atMost: 3) == "abc…")
        #expect(shown("a" + String(repeating: "\u{200D}", count: 1000), atMost: 2) == "a\\u{200D}…")
    }
}
