import TestFixtures
import Testing

@testable import ImagePipeline

/// Keeps the promise that an orientation in a PNG's text chunks is applied where Pillow's `exif_transpose` applies it.
@Suite("Orientation in a PNG's texts")
struct PNGTextTests {
    private static let turnedXMP = Array(#"<x tiff:Orientation="6"/>"#.utf8)
    private static let xmpKeyword = "XML:com.adobe.xmp"

    private typealias Chunk = (type: String, data: [UInt8])

    private func orientation(_ before: [Chunk], after: [Chunk] = []) throws -> Orientation {
        let png = PNGBuilder(width: 1, height: 1, colorType: .gray, rows: [[1]], before: before, after: after)
        return try ImageDecoder.probe(png.file).orientation
    }

    private func text(_ keyword: String, _ text: [UInt8]) -> Chunk { ("tEXt", Array(keyword.utf8) + [0] + text) }

    private func compressed(_ keyword: String, _ text: [UInt8]) -> Chunk {
        ("zTXt", Array(keyword.utf8) + [0, 0] + PNGBuilder.storedZlib(text))
    }

    private func international(_ keyword: String, _ text: [UInt8], compressed: Bool = false) -> Chunk {
        let head: [UInt8] = [0, compressed ? 1 : 0, 0] + Array("en\0key\0".utf8)
        return ("iTXt", Array(keyword.utf8) + head + (compressed ? PNGBuilder.storedZlib(text) : text))
    }

    private func profile(_ exif: [UInt8], lineLength: Int = 72, ending: String = "\n") -> [UInt8] {
        let digits = exif.flatMap { byte in Array((byte < 16 ? "0" : "").utf8) + Array(String(byte, radix: 16).utf8) }
        var text = Array("\nexif\n      \(exif.count)\n".utf8)
        for start in stride(from: 0, to: digits.count, by: lineLength) {
            text += digits[start..<min(start + lineLength, digits.count)] + Array(ending.utf8)
        }
        return text
    }

    @Test("XMP may be in any kind of text chunk, before or after the pixels")
    func xmp() throws {
        for chunk in [
            text(Self.xmpKeyword, Self.turnedXMP), compressed(Self.xmpKeyword, Self.turnedXMP),
            international(Self.xmpKeyword, Self.turnedXMP),
            international(Self.xmpKeyword, Self.turnedXMP, compressed: true),
        ] {
            #expect(try orientation([chunk]) == .rightTop)
            #expect(try orientation([], after: [chunk]) == .rightTop)
            #expect(try orientation([("eXIf", PNGBuilder.exif(orientation: 1)), chunk]) == .topLeft)
            #expect(try orientation([("eXIf", []), chunk]) == .rightTop)
        }
        #expect(try orientation([text("xmp", Self.turnedXMP)]) == .topLeft)
        let upright = international(Self.xmpKeyword, Array(#"tiff:Orientation="1""#.utf8))
        #expect(try orientation([upright, international(Self.xmpKeyword, Self.turnedXMP)]) == .rightTop)
        #expect(try orientation([international(Self.xmpKeyword, Self.turnedXMP), upright]) == .topLeft)
    }

    @Test("EXIF may be in hexadecimal digits, as ImageMagick writes it")
    func rawProfile() throws {
        let exif = Array("Exif\0\0".utf8) + PNGBuilder.exif(orientation: 6)
        let keyword = "Raw profile type exif"
        for text in [
            profile(exif), profile(PNGBuilder.exif(orientation: 6)), profile(exif, lineLength: 7),
            profile(exif, lineLength: 8, ending: " \r\n"), profile(exif).map { $0 == 0x66 ? 0x46 : $0 },
        ] {
            #expect(try orientation([self.text(keyword, text)]) == .rightTop)
            #expect(try orientation([compressed(keyword, text)]) == .rightTop)
            #expect(try orientation([], after: [international(keyword, text, compressed: true)]) == .rightTop)
        }
        #expect(try orientation([text(keyword, profile(exif)), ("eXIf", PNGBuilder.exif(orientation: 1))]) == .topLeft)
        #expect(try orientation([text("Raw profile type APP1", profile(exif))]) == .topLeft, "Pillow reads none of it")
        for damaged in [
            [], Array("\nexif\n 4".utf8), profile(exif) + Array("0".utf8), profile(exif) + Array("g0".utf8),
            profile(exif, lineLength: 7, ending: " \n"),
        ] {
            #expect(try orientation([text(keyword, damaged)]) == .topLeft)
        }
    }

    @Test("a text \"exif\" is a block of EXIF")
    func exifText() throws {
        let exif = Array("Exif\0\0".utf8) + PNGBuilder.exif(orientation: 6)
        #expect(try orientation([text("exif", exif)]) == .rightTop)
        #expect(try orientation([compressed("exif", exif)]) == .topLeft)
    }

    @Test("malformed and endless texts are passed over")
    func malformed() throws {
        let keyword = Array(Self.xmpKeyword.utf8)
        for chunk in [
            ("tEXt", keyword), ("zTXt", keyword), ("zTXt", keyword + [0]), ("zTXt", keyword + [0, 0]),
            ("zTXt", keyword + [0, 1] + PNGBuilder.storedZlib(Self.turnedXMP)),
            ("zTXt", keyword + [0, 0] + Self.turnedXMP), ("iTXt", keyword), ("iTXt", keyword + [0, 0]),
            ("iTXt", keyword + [0, 0, 0] + Self.turnedXMP), ("iTXt", keyword + [0, 0, 0, 0] + Self.turnedXMP),
            ("iTXt", keyword + [0, 1, 1, 0, 0] + PNGBuilder.storedZlib(Self.turnedXMP)), ("tEXt", []), ("iTXt", [0]),
        ] as [Chunk] {
            #expect(try orientation([chunk]) == .topLeft)
        }
        // Of a stream that is cut off, what it holds counts.
        let whole = compressed(Self.xmpKeyword, Self.turnedXMP)
        #expect(try orientation([("zTXt", whole.data.dropLast(5))]) == .rightTop)
        let endless = ("zTXt", keyword + [0, 0] + PNGBuilder.zlib(zeros: 64 << 20)) as Chunk
        #expect(try orientation([Chunk](repeating: endless, count: 50)) == .topLeft)
    }
}
