import TestFixtures
import Testing
import UntrustedText

@testable import Training

/// Keeps the promise that tar archives are read in place, and that a hostile one is an error rather than a crash.
@Suite("Tar archives")
struct TarIndexTests {
    static let longName = String(repeating: "folder/", count: 40) + "image.png"

    private func index(_ build: (inout TarBuilder) -> Void) throws -> TarIndex {
        var tar = TarBuilder()
        build(&tar)
        return try TarIndex(tar.archive)
    }

    private func expectError(
        naming part: String, sourceLocation: SourceLocation = #_sourceLocation, _ build: (inout TarBuilder) -> Void
    ) {
        let error = #expect(throws: DataSetError.self, sourceLocation: sourceLocation) { try index(build) }
        #expect(error?.message.contains(part) == true, "\(error?.message ?? "")", sourceLocation: sourceLocation)
    }

    @Test("names, offsets and lengths of files, folders left out")
    func plain() throws {
        let tar = try index {
            $0.add("a/", type: "5")
            $0.add("a/one", [1, 2, 3])
            $0.add("two", [UInt8](repeating: 9, count: 513), prefix: "some/prefix")
            $0.add("empty")
        }
        #expect(
            tar.files == [
                .init(name: "a/one", offset: 1024, count: 3),
                .init(name: "some/prefix/two", offset: 2048, count: 513),
                .init(name: "empty", offset: 3584, count: 0),
            ])
        #expect(tar.specialCount == 0)
    }

    @Test("an archive without files is empty")
    func empty() throws {
        #expect(try index { _ in }.files == [])
    }

    @Test("GNU long names, and no prefix where GNU's magic stands")
    func gnu() throws {
        let tar = try index {
            $0.add("././@LongLink", Array(Self.longName.utf8) + [0], type: "L", magic: "ustar  ")
            $0.add("cut", [1], magic: "ustar  ")
            $0.add("next", [2], prefix: "1234", magic: "ustar  ")
            $0.add("././@LongLink", Array(Self.longName.utf8) + [0], type: "K", magic: "ustar  ")
            $0.add("link", type: "2", magic: "ustar  ")
        }
        #expect(tar.files.map(\.name) == [Self.longName, "next"])
        #expect(tar.specialCount == 1)
    }

    @Test("pax names and sizes apply to the next file only")
    func pax() throws {
        let tar = try index {
            $0.addAttributes([("comment", "by hand")], type: "g")
            $0.addAttributes([("mtime", "1.5"), ("path", Self.longName), ("size", "600")])
            $0.add("cut", [UInt8](repeating: 7, count: 600), size: "0")
            $0.add("next", [1, 2])
        }
        #expect(tar.files.map(\.name) == [Self.longName, "next"])
        #expect(tar.files.map(\.count) == [600, 2])
    }

    @Test("a size in base 256")
    func base256() throws {
        var tar = TarBuilder()
        tar.add("big", [1, 2, 3])
        var archive = tar.archive
        archive.replaceSubrange(124..<136, with: [0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3])
        var block = Array(archive[..<512])
        TarBuilder.seal(&block)
        archive.replaceSubrange(..<512, with: block)
        #expect(try TarIndex(archive).files.map(\.count) == [3])

        archive.replaceSubrange(124..<136, with: [0x80] + [UInt8](repeating: 0xff, count: 11))
        block = Array(archive[..<512])
        TarBuilder.seal(&block)
        archive.replaceSubrange(..<512, with: block)
        #expect(throws: DataSetError.self) { try TarIndex(archive) }
    }

    @Test("links and devices have no data whatever their size says; unknown kinds are passed over")
    func special() throws {
        let tar = try index {
            for type in "12346" { $0.add("special", type: type, size: "1000") }
            $0.add("volume", type: "V")
            $0.add("dump", [1, 2, 3], type: "D")
            $0.add("file", [5])
        }
        #expect(tar.files.map(\.name) == ["file"])
        #expect(tar.specialCount == 7)
    }

    @Test("sparse files are refused")
    func sparse() {
        expectError(naming: "sparse") { $0.add("holes", type: "S") }
        expectError(naming: "sparse") {
            $0.addAttributes([("GNU.sparse.major", "1")])
            $0.add("holes", [1])
        }
    }

    @Test(
        "sizes beyond the archive, malformed or overflowing are errors",
        arguments: ["4000", "77777777777", "12x", "-1"])
    func hostileSize(size: String) {
        expectError(naming: "byte") { $0.add("file", [1], size: size) }
        expectError(naming: "byte") {
            $0.addAttributes([("size", size == "4000" ? "9223372036854775807" : size)])
            $0.add("file", [1])
        }
    }

    @Test(
        "malformed pax records are errors",
        arguments: [
            "x", "5", "999 path=a\n", "9223372036854775808 path=a\n", "3 a", "0 a=b\n", "-6 a=b\n", "8 path a\n",
            "10 path=abc",
        ])
    func malformedAttributes(records: String) {
        expectError(naming: "pax") { $0.add("attributes", Array(records.utf8), type: "x") }
    }

    @Test("attributes for all files and endless names are refused")
    func hostileNames() {
        expectError(naming: "all its files") { $0.addAttributes([("path", "same")], type: "g") }
        expectError(naming: "1 MiB") { $0.add("name", [UInt8](repeating: 97, count: 1 << 20 + 1), type: "L") }
    }

    @Test("names may be any bytes, in headers, GNU's long names and pax attributes")
    func anyNames() throws {
        let name = String(pathBytes: [0xE9, 0x0A, 0xFF])
        let accents = "a" + String(repeating: "\u{301}\u{323}", count: 200_000)
        let tar = try index {
            $0.add(name, [1], prefix: name)
            $0.add("././@LongLink", name.pathBytes + [0], type: "L", magic: "ustar  ")
            $0.add("cut")
            $0.addAttributes([("path", name)])
            $0.add("cut")
            $0.add("long", Array(accents.utf8), type: "L")
            $0.add("cut")
        }
        let bytes = tar.files.map(\.name.pathBytes)
        #expect(
            bytes == [name.pathBytes + [0x2F] + name.pathBytes, name.pathBytes, name.pathBytes, Array(accents.utf8)])
    }

    @Test("every truncation and every damaged header byte is an error")
    func damaged() throws {
        var tar = TarBuilder()
        tar.addAttributes([("path", Self.longName)])
        tar.add("file", [UInt8](repeating: 3, count: 700))
        for length in stride(from: 0, through: tar.bytes.count, by: 64) {
            #expect(throws: DataSetError.self) { try TarIndex(Array(tar.bytes[..<length])) }
        }
        // The checksum field's last three bytes come after its number's end.
        for position in 0..<512 where !(153..<156).contains(position) {
            var archive = tar.archive
            archive[position] ^= 0x11
            #expect(throws: DataSetError.self, "byte \(position)") { try TarIndex(archive) }
        }
    }

    @Test(
        "compressed archives are called by name",
        arguments: [([0x1f, 0x8b, 8], "gzip"), ([0x28, 0xb5, 0x2f, 0xfd], "zstd")])
    func compressed(start: [UInt8], name: String) {
        let error = #expect(throws: DataSetError.self) {
            try TarIndex(start + [UInt8](repeating: 1, count: 1024))
        }
        #expect(error?.message.contains(name) == true)
    }

    @Test("an archive whose first name begins like another format is read", arguments: ["BZh/1.png", "BZh9.png"])
    func namedLikeCompressed(name: String) throws {
        #expect(try index { $0.add(name, [1]) }.files.map(\.name) == [name])
    }

    @Test("a hostile name can't reach the terminal through an error, nor fill it")
    func quotedNames() {
        for name in ["\u{1B}[2J", String(repeating: "n", count: 100_000)] {
            let error = #expect(throws: DataSetError.self) {
                try index {
                    $0.add("name", Array(name.utf8), type: "L")
                    $0.add("file", type: "S")
                }
            }
            #expect(error.map { $0.message.utf8.count < 400 && !$0.message.contains("\u{1B}") } == true)
        }
    }

    @Test("random bytes after a valid start are read or refused, never worse")
    func random() throws {
        var random = SeededGenerator(seed: 17)
        var (read, refused) = (0, 0)
        for _ in 0..<300 {
            var tar = TarBuilder()
            tar.addAttributes([("path", Self.longName), ("size", "5")])
            tar.add("file", [1, 2, 3, 4, 5])
            var archive = tar.archive
            for _ in 0..<4 {
                archive[Int.random(in: 512..<archive.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            do {
                _ = try TarIndex(archive)
                read += 1
            } catch {
                refused += 1
            }
        }
        #expect(read > 0 && refused > 100, "\(read) read, \(refused) refused")
    }
}
