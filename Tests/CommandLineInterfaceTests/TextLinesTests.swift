import Console
import TestFixtures
import Testing

@testable import CommandLineInterface

@Suite("A text file's lines") struct TextLinesTests {
    @Test(
        "Class names are one a line, however lines end and whatever they hold",
        arguments: [
            ("", []), ("cat", ["cat"]), ("cat\ndog\n", ["cat", "dog"]), ("cat\r\ndog\r\n", ["cat", "dog"]),
            ("cat\n\ndog", ["cat", "", "dog"]), ("cat\n\u{301}a\n", ["cat", "\u{301}a"]), ("a\rb\n", ["a\rb"]),
            ("\u{FEFF}cat\r\ndog", ["cat", "dog"]), ("\u{FEFF}", []), ("cat\n\u{FEFF}dog", ["cat", "\u{FEFF}dog"]),
        ])
    func lines(text: String, names: [String]) throws {
        #expect(try ImportCommand.classNames(Array(text.utf8), in: "labels") == names)
    }

    @Test("What is no text, longer than a file of names can be, or slow to compare, is refused with its reason")
    func noText() {
        let tooMany = ImportCommand.largestLabels + 1
        let accents = String(repeating: "\u{301}\u{323}", count: 100)
        for (bytes, reason) in [
            ([0xFF], "not UTF-8"), ([UInt8](repeating: 97, count: tooMany), "\(tooMany) bytes"),
            (Array("cat\na\(accents)\ndog".utf8), "line 2"),
        ] {
            #expect {
                try ImportCommand.classNames(bytes, in: "labels")
            } throws: {
                ($0 as? CommandFailure)?.status == .unusableData && "\($0)".hasPrefix("labels: ")
                    && "\($0)".contains(reason)
            }
        }
    }

    @Test(
        "A key file's keys are its lines, however these end, a byte-order mark left out", arguments: ["", "\u{FEFF}"])
    func keys(mark: String) throws {
        let scratch = try Scratch()
        let path = try scratch.write(Array("\(mark)# ours\r\nfirst\r\n\r\nsecond\nthird".utf8), to: "keys")
        #expect(try ServeOptions.keys(path, at: "--api-key-file") == ["first", "second", "third"])
    }

    @Test("A second token is refused rather than left unused")
    func oneToken() throws {
        let scratch = try Scratch()
        let place = "--admin-token-file"
        let two = try scratch.write(Array("old\nnew\n".utf8), to: "two")
        #expect { try ServeOptions.token(two, at: place) } throws: {
            ($0 as? CommandFailure)?.status == .unusableData && "\($0)".contains("2 keys")
        }
        #expect(try ServeOptions.token(scratch.write(Array("# ours\nnew\n".utf8), to: "one"), at: place) == "new")
    }
}
