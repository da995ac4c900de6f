import CArchive
import Files
import Glibc
import TestFixtures
import Testing
import UntrustedText

@testable import Training

/// Keeps the promise that archives are read as what they are, in place where they can be, and that a hostile one is an error
/// rather than a crash.
@Suite("Archives of images")
struct ImageArchiveTests {
    static let longName = String(repeating: "folder/", count: 40) + "image.png"

    private let scratch: Scratch

    init() throws { scratch = try Scratch() }

    private func open(_ bytes: [UInt8]) throws -> ImageArchive {
        try ImageArchive(at: try scratch.write(bytes, to: "archive"), temporaryFolder: scratch.folder.path) { _ in true
        }
    }

    private func open(_ build: (inout TarBuilder) -> Void) throws -> ImageArchive {
        var tar = TarBuilder()
        build(&tar)
        return try open(tar.archive)
    }

    private func expectError(
        naming part: String, sourceLocation: SourceLocation = #_sourceLocation, _ build: (inout TarBuilder) -> Void
    ) {
        let error = #expect(throws: DataSetError.self, sourceLocation: sourceLocation) { try open(build) }
        #expect(error?.message.contains(part) == true, "\(error?.message ?? "")", sourceLocation: sourceLocation)
    }

    private func names(_ archive: ImageArchive) -> [String] { archive.files.map { String(pathBytes: $0.name) } }

    @Test("names, offsets and lengths of files, folders left out")
    func plain() throws {
        let tar = try open {
            $0.add("a/", type: "5")
            $0.add("a/one", [1, 2, 3])
            $0.add("two", [UInt8](repeating: 9, count: 513), prefix: "some/prefix")
            $0.add("empty")
        }
        #expect(
            tar.files == [
                .init(name: Array("a/one".utf8), place: .stored(1024..<1027)),
                .init(name: Array("some/prefix/two".utf8), place: .stored(2048..<2561)),
                .init(name: Array("empty".utf8), place: .stored(3584..<3584)),
            ])
        #expect(try tar.bytes(at: tar.files[0].place) == [1, 2, 3])
        #expect(tar.specialCount == 0)
    }

    @Test("an archive without files is empty")
    func empty() throws {
        #expect(try open { _ in }.files == [])
    }

    @Test("GNU long names, and no prefix where GNU's magic stands")
    func gnu() throws {
        let tar = try open {
            $0.add("././@LongLink", Array(Self.longName.utf8) + [0], type: "L", magic: "ustar  ")
            $0.add("cut", [1], magic: "ustar  ")
            $0.add("next", [2], prefix: "1234", magic: "ustar  ")
            $0.add("././@LongLink", Array(Self.longName.utf8) + [0], type: "K", magic: "ustar  ")
            $0.add("link", type: "2", magic: "ustar  ")
        }
        #expect(names(tar) == [Self.longName, "next"])
        #expect(tar.specialCount == 1)
    }

    @Test("pax names and sizes apply to the next file only")
    func pax() throws {
        let tar = try open {
            $0.addAttributes([("comment", "by hand")], type: "g")
            $0.addAttributes([("mtime", "1.5"), ("path", Self.longName), ("size", "600")])
            $0.add("cut", [UInt8](repeating: 7, count: 600), size: "0")
            $0.add("next", [1, 2])
        }
        #expect(names(tar) == [Self.longName, "next"])
        #expect(tar.files.map(\.place.byteCount) == [600, 2])
    }

    @Test("a size in base 256")
    func base256() throws {
        func resized(_ size: [UInt8]) -> [UInt8] {
            var tar = TarBuilder()
            tar.add("big", [1, 2, 3])
            var archive = tar.archive
            archive.replaceSubrange(124..<136, with: size)
            var block = Array(archive[..<512])
            TarBuilder.seal(&block)
            archive.replaceSubrange(..<512, with: block)
            return archive
        }
        #expect(try open(resized([0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3])).files.map(\.place.byteCount) == [3])
        #expect(throws: DataSetError.self) { try open(resized([0x80] + [UInt8](repeating: 0xff, count: 11))) }
    }

    @Test("links, devices and pipes are counted, and files behind them are found")
    func special() throws {
        let tar = try open {
            for type in "12346" { $0.add("special", type: type) }
            $0.add("file", [5])
        }
        #expect(names(tar) == ["file"])
        #expect(try tar.bytes(at: tar.files[0].place) == [5])
        #expect(tar.specialCount == 5)
    }

    @Test("sparse files are refused")
    func sparse() {
        expectError(naming: "sparse") {
            $0.addAttributes([("GNU.sparse.size", "9"), ("GNU.sparse.numblocks", "1"), ("GNU.sparse.map", "0,1")])
            $0.add("holes", [1])
        }
    }

    @Test("sizes that are negative or beyond the archive are errors", arguments: ["4000", "77777777777", "-1"])
    func hostileSize(size: String) {
        expectError(naming: "archive") { $0.add("file", [1], size: size) }
        expectError(naming: "archive") {
            $0.addAttributes([("size", size == "4000" ? "9223372036854775807" : size)])
            $0.add("file", [1])
        }
    }

    @Test(
        "malformed pax records are errors",
        arguments: ["5", "999 path=a\n", "9223372036854775808 path=a\n", "0 a=b\n", "-6 a=b\n"])
    func malformedAttributes(records: String) {
        expectError(naming: "damaged") {
            $0.add("attributes", Array(records.utf8), type: "x")
            $0.add("file", [1])
        }
    }

    @Test("endless names are refused, or as by libarchive 3.8 passed over")
    func endlessNames() {
        do {
            let tar = try open {
                $0.add("name", [UInt8](repeating: 97, count: 1 << 20 + 1), type: "L")
                $0.add("file", [1])
            }
            #expect(names(tar) == ["file"])
        } catch {
            #expect("\(error)".contains("archive"))
        }
    }

    @Test("names may be any bytes, in headers, GNU's long names and pax attributes, and none is changed")
    func anyNames() throws {
        let name = String(pathBytes: [0xE9, 0x0A, 0xFF])
        let accents = "a" + String(repeating: "\u{301}\u{323}", count: 200_000)
        let tar = try open {
            $0.add(name, [1], prefix: name)
            $0.add("././@LongLink", name.pathBytes + [0], type: "L", magic: "ustar  ")
            $0.add("cut")
            $0.addAttributes([("path", name)])
            $0.add("cut")
            $0.add("long", Array(accents.utf8), type: "L")
            $0.add("cut")
            for letter in ["\u{E9}", "e\u{301}"] {
                $0.addAttributes([("path", letter)])
                $0.add("cut")
            }
        }
        #expect(
            tar.files.map(\.name) == [
                name.pathBytes + [0x2F] + name.pathBytes, name.pathBytes, name.pathBytes, Array(accents.utf8),
                [0xC3, 0xA9], [0x65, 0xCC, 0x81],
            ])
    }

    @Test("every truncation and every damaged header byte is an error")
    func damaged() throws {
        var tar = TarBuilder()
        tar.addAttributes([("path", Self.longName)])
        tar.add("file", [UInt8](repeating: 3, count: 700))
        for length in stride(from: 0, through: tar.bytes.count, by: 64) {
            #expect(throws: DataSetError.self, "\(length) bytes") { try open(Array(tar.bytes[..<length])) }
        }
        // The checksum field's last three bytes come after its number's end.
        for position in 0..<512 where !(153..<156).contains(position) {
            var archive = tar.archive
            archive[position] ^= 0x11
            #expect(throws: DataSetError.self, "byte \(position)") { try open(archive) }
        }
    }

    @Test("an archive whose first name begins like another format is read", arguments: ["BZh/1.png", "BZh9.png"])
    func namedLikeCompressed(name: String) throws {
        #expect(names(try open { $0.add(name, [1]) }) == [name])
    }

    @Test("a hostile name can't reach the terminal through an error, nor fill it")
    func quotedNames() {
        for name in ["\u{1B}[2J", String(repeating: "n", count: 100_000)] {
            let error = #expect(throws: DataSetError.self) {
                try open {
                    $0.addAttributes([("path", name), ("GNU.sparse.size", "9"), ("GNU.sparse.map", "0,1")])
                    $0.add("file", [1])
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
                _ = try open(archive)
                read += 1
            } catch {
                refused += 1
            }
        }
        #expect(read > 0 && refused > 100, "\(read) read, \(refused) refused")
    }

    // MARK: Compressed archives

    static let images: [(name: String, bytes: [UInt8])] = [
        ("airplane/0.png", [UInt8](repeating: 7, count: 100_000)), ("ship/\u{E9}.jpg", Array(0...255)),
        ("ship/2.png", []),
    ]

    @Test(
        "a compressed archive is the data set that the plain one is, and only what is compressed is unpacked",
        arguments: [
            ("ustar", "none", "", true), ("ustar", "gzip", "", false), ("ustar", "bzip2", "", false),
            ("ustar", "xz", "", false), ("pax", "zstd", "", false), ("zip", "none", "zip:compression=store", true),
            ("zip", "none", "zip:compression=deflate", false),
        ])
    func compressed(format: String, filter: String, options: String, isStored: Bool) throws {
        let bytes = archive(Self.images, format, filter, options)
        let opened = try open(bytes)
        for file in opened.files where file.place.byteCount > 0 {
            if case .stored = file.place { #expect(isStored) } else { #expect(!isStored) }
        }
        #expect(try scratch.names() == ["archive"], "the temporary file has no name")

        let images = try LabelledImages(at: scratch.path("archive"))
        #expect(images.classes == ["airplane", "ship"])
        #expect(images.items.map(\.path) == ["airplane/0.png", "ship/2.png", "ship/\u{E9}.jpg"])
        #expect(try images.bytes(at: 0) == Self.images[0].bytes && images.bytes(at: 2) == Self.images[1].bytes)
        let plain = try scratch.write(archive(Self.images, "ustar"), to: "plain")
        #expect(try images.fingerprint() == LabelledImages(at: plain).fingerprint())
    }

    @Test(
        "a compressed archive that is cut off is an error, wherever it is cut",
        arguments: [("ustar", "gzip"), ("ustar", "bzip2"), ("ustar", "xz"), ("ustar", "zstd"), ("zip", "none")])
    func cutOff(format: String, filter: String) {
        let bytes = archive(Self.images, format, filter)
        for length in stride(from: 1, to: bytes.count - 8, by: max(bytes.count / 40, 1)) {
            #expect(throws: DataSetError.self, "\(length) of \(bytes.count) bytes") {
                try open(Array(bytes[..<length]))
            }
        }
    }

    @Test("a damaged checksum in a zip archive is an error")
    func wrongChecksum() throws {
        var bytes = archive(Self.images, "zip", "none", "zip:compression=deflate")
        let data = try #require(bytes.firstRange(of: Array("0.png".utf8))).upperBound + 40
        bytes[data] ^= 0xFF
        let error = #expect(throws: DataSetError.self) { try open(bytes) }
        #expect(error?.message.contains("damaged") == true, "\(error?.message ?? "")")
    }

    @Test("two files of a zip archive whose names Unicode holds for the same are an error, since one would be lost")
    func equivalentNames() throws {
        let error = #expect(throws: DataSetError.self) {
            try open(archive([("a/\u{E9}.png", [1]), ("a/e\u{301}.png", [2])], "zip"))
        }
        #expect(error?.message.contains("same name") == true, "\(error?.message ?? "")")
    }

    @Test("where there is no room to unpack, the error says so and what to do")
    func noRoom() throws {
        let path = try scratch.write(archive(Self.images, "ustar", "gzip"), to: "archive")
        let error = #expect(throws: DataSetError.self) {
            try ImageArchive(at: path, temporaryFolder: scratch.path("missing")) { _ in true }
        }
        #expect(error?.message.contains("TMPDIR") == true && error?.message.contains("No such file") == true)
        let plain = try scratch.write(archive(Self.images, "ustar"), to: "plain")
        _ = try ImageArchive(at: plain, temporaryFolder: scratch.path("missing")) { _ in true }
    }

    @Test("a file of a negative size, as the header of a sparse file can state, is refused")
    func negativeSize() {
        var bytes = archive([("cat/0.jpg", [1, 2, 3])], "gnutar")
        bytes[483] = 0xE0
        bytes.replaceSubrange(148..<156, with: Array("        ".utf8))
        let sum = String(bytes[..<512].reduce(0) { $0 + Int($1) }, radix: 8)
        bytes.replaceSubrange(148..<156, with: Array((String(repeating: "0", count: 6 - sum.count) + sum + "\0 ").utf8))
        let error = #expect(throws: DataSetError.self) { try open(bytes) }
        #expect(error?.message.contains("the archive is damaged") == true, "\(error?.message ?? "")")
    }

    @Test(
        "a file that is no archive is told what would be one",
        arguments: ["", "hello", "PK", "PK\u{3}\u{4}", "\u{1F}\u{8B}"])
    func noArchive(text: String) {
        let error = #expect(throws: DataSetError.self) { try open(Array(text.utf8)) }
        #expect(error?.message.contains("neither a folder nor an archive") == true, "\(error?.message ?? "")")
    }
}

/// An archive of files, as libarchive writes it.
private func archive(
    _ files: [(name: String, bytes: [UInt8])], _ format: String, _ filter: String = "none", _ options: String = ""
) -> [UInt8] {
    // A zip archive states that its names are Unicode only where the system's character set is.
    let before = format == "zip" ? archive_use_utf8_names() : nil
    defer { if let before { uselocale(before) } }
    let writer = archive_write_new()
    defer { archive_write_free(writer) }
    precondition(archive_write_set_format_by_name(writer, format) == ARCHIVE_OK)
    precondition(filter == "none" || archive_write_add_filter_by_name(writer, filter) == ARCHIVE_OK)
    precondition(archive_write_set_options(writer, options) == ARCHIVE_OK)
    var bytes = [UInt8](repeating: 0, count: 1 << 20)
    var used = 0
    bytes.withUnsafeMutableBytes { buffer in
        precondition(archive_write_open_memory(writer, buffer.baseAddress, buffer.count, &used) == ARCHIVE_OK)
        for file in files {
            let entry = archive_entry_new()
            defer { archive_entry_free(entry) }
            archive_entry_set_pathname(entry, file.name)
            archive_entry_set_filetype(entry, 0o100000)
            archive_entry_set_perm(entry, 0o644)
            archive_entry_set_size(entry, Int64(file.bytes.count))
            // A warning that a name isn't of the system's character set, which is then written as it is.
            precondition(archive_write_header(writer, entry) >= ARCHIVE_WARN)
            precondition(archive_write_data(writer, file.bytes, file.bytes.count) == file.bytes.count)
        }
        precondition(archive_write_close(writer) == ARCHIVE_OK)
    }
    return Array(bytes[..<used])
}
