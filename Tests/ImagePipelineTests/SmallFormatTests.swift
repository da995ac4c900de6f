import TestFixtures
import Testing

@testable import ImagePipeline

/// Keeps the promise that WebP, GIF and BMP are checked by their headers first, and refused with a reason where they are damaged.
@Suite("WebP, GIF and BMP")
struct SmallFormatTests {
    private static func little(_ value: Int, bytes: Int) -> [UInt8] {
        (0..<bytes).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
    }

    /// A GIF of one picture at a place of a screen, whose colours are its own or the file's.
    private static func gif(
        screen: (Int, Int), at place: (Int, Int) = (0, 0), size: (Int, Int), colours: [UInt8] = [], own: [UInt8] = [],
        codeSize: UInt8 = 2, codes: [UInt8]
    ) -> [UInt8] {
        func flags(_ colours: [UInt8]) -> UInt8 {
            colours.isEmpty ? 0 : 0x80 | UInt8(colours.count.trailingZeroBitCount - 1)
        }
        var file = Array("GIF89a".utf8)
        for number in [screen.0, screen.1] { file += little(number, bytes: 2) }
        file += [flags(colours), 0, 0]
        for colour in colours { file += [colour, 0, 0] }
        file.append(UInt8(ascii: ","))
        for number in [place.0, place.1, size.0, size.1] { file += little(number, bytes: 2) }
        file.append(flags(own))
        for colour in own { file += [colour, colour, colour] }
        file += [codeSize, UInt8(codes.count)] + codes
        return file + [0, UInt8(ascii: ";")]
    }

    private static func bmp(width: Int, height: Int, bits: Int, compression: Int = 0, rest: [UInt8]) -> [UInt8] {
        var file = Array("BM".utf8) + [UInt8](repeating: 0, count: 12)
        for number in [40, width, height] { file += little(number, bytes: 4) }
        for number in [1, bits] { file += little(number, bytes: 2) }
        file += little(compression, bytes: 4) + [UInt8](repeating: 0, count: 20)
        return file + rest
    }

    private static func webp(_ chunks: [(type: String, content: [UInt8])]) -> [UInt8] {
        var body: [UInt8] = []
        for (type, content) in chunks {
            body += Array(type.utf8) + little(content.count, bytes: 4) + content
            if content.count % 2 == 1 { body.append(0) }
        }
        return Array("RIFF".utf8) + little(body.count + 4, bytes: 4) + Array("WEBP".utf8) + body
    }

    /// An extended WebP's header.
    private static func extended(flags: UInt8, _ width: Int, _ height: Int) -> (type: String, content: [UInt8]) {
        ("VP8X", [flags, 0, 0, 0] + little(width - 1, bytes: 3) + little(height - 1, bytes: 3))
    }

    /// The VP8L chunk of a fixture.
    private static func lossless() throws -> (type: String, content: [UInt8]) {
        let file = try TestFixtures.bytes("images/formats/lossless.webp")
        let count = file[16..<20].reversed().reduce(0) { $0 << 8 | Int($1) }
        return ("VP8L", Array(file[20..<20 + count]))
    }

    @Test("a header that claims too many pixels is refused before they are allocated")
    func bombs() throws {
        let limits = ImageLimits(maximumAspectRatio: .infinity)
        let bombs = [
            Self.gif(screen: (65_535, 65_535), size: (1, 1), codes: [0x44, 1]),
            Self.gif(screen: (1, 1), at: (65_535, 65_535), size: (65_535, 65_535), codes: [0x44, 1]),
            Self.bmp(width: 0x7fff_ffff, height: 0x7fff_ffff, bits: 24, rest: []),
            Self.bmp(width: -1, height: 1 << 24, bits: 24, rest: []),
            Self.webp([Self.extended(flags: 2, 1 << 24, 1 << 24), ("ANMF", Self.frame(try Self.lossless()))]),
        ]
        for bomb in bombs {
            let error = #expect(throws: ImageError.self) { try ImageDecoder.decode(bomb, limits: limits) }
            #expect(error?.kind == .tooLarge, "\(error?.message ?? "")")
        }
    }

    /// The content of an animation's frame in the upper left corner, of 29x18 pixels.
    private static func frame(_ picture: (type: String, content: [UInt8])) -> [UInt8] {
        let header: [UInt8] = [0, 0, 0, 0, 0, 0] + little(28, bytes: 3) + little(17, bytes: 3) + [0, 0, 0, 0]
        return header + webp([picture]).dropFirst(12)
    }

    @Test("a file without its pixels, or with a size of zero, is refused")
    func withoutPixels() throws {
        let picture = try Self.lossless()
        let cases: [(file: [UInt8], kind: ImageError.Kind, part: String)] = [
            (Self.gif(screen: (4, 4), size: (0, 4), codes: [0x44, 1]), .empty, "zero pixels"),
            (Self.bmp(width: 0, height: 3, bits: 24, rest: []), .empty, "zero pixels"),
            (Array("GIF89a".utf8) + [1, 0, 1, 0, 0, 0, 0, 0x3b], .corrupt, "no picture"),
            (Self.gif(screen: (2, 2), size: (2, 2), codes: [0x44, 1]), .corrupt, "the codes end"),
            (Self.gif(screen: (2, 2), size: (2, 2), codes: [0x74]), .corrupt, "LZW code is undefined"),
            (Self.gif(screen: (2, 2), size: (2, 2), codeSize: 9, codes: [0]), .corrupt, "more than 9 bits"),
            (Self.bmp(width: 2, height: 2, bits: 24, compression: 4, rest: []), .unsupported, "compression"),
            (Self.bmp(width: 2, height: 2, bits: 24, compression: 1, rest: []), .unsupported, "compression"),
            (Self.bmp(width: 2, height: 2, bits: 2, rest: []), .unsupported, "number of bits"),
            (
                Self.bmp(width: 2, height: 2, bits: 16, compression: 3, rest: [UInt8](repeating: 1, count: 20)),
                .unsupported, "bit fields"
            ),
            (
                Self.bmp(
                    width: 2, height: 2, bits: 8, compression: 1, rest: [UInt8](repeating: 0, count: 1024) + [0, 1]),
                .corrupt, "runs end"
            ),
            (Self.webp([Self.extended(flags: 0, 29, 18)]), .truncated, "before the picture"),
            (Self.webp([Self.extended(flags: 0, 30, 18), picture]), .corrupt, "size"),
            (Self.webp([Self.extended(flags: 2, 20, 18), ("ANMF", Self.frame(picture))]), .corrupt, "size"),
            (Self.webp([Self.extended(flags: 2, 29, 18), picture]), .truncated, "before the picture"),
            (Self.webp([("ICCP", [1, 2])]), .corrupt, "first chunk"),
        ]
        for (index, (file, kind, part)) in cases.enumerated() {
            let error = #expect(throws: ImageError.self, "case \(index)") { try ImageDecoder.decode(file) }
            #expect(error?.kind == kind && error?.message.contains(part) == true, "\(index): \(error?.message ?? "")")
        }
    }

    @Test("a GIF's own colours count, even a ramp of grays that Pillow would replace with the file's")
    func ownRamp() throws {
        // Codes of three bits: clear, 1, and 3.
        let file = Self.gif(
            screen: (2, 1), size: (2, 1), colours: [90, 80, 70, 60], own: [0, 1, 2, 3], codes: [0b1100_1100, 0])
        #expect(try ImageDecoder.decode(file).pixels == [1, 1, 1, 3, 3, 3])
    }

    @Test("metadata that a WebP's header doesn't announce are none")
    func unannouncedMetadata() throws {
        let picture = try Self.lossless()
        let exif = (type: "EXIF", content: PNGBuilder.exif(orientation: 6))
        for (flags, expected) in [(8, Orientation.rightTop), (0, .topLeft), (4, .topLeft)] as [(UInt8, Orientation)] {
            let file = Self.webp([Self.extended(flags: flags, 29, 18), picture, exif])
            #expect(try ImageDecoder.probe(file).orientation == expected)
        }
    }

    @Test("what follows a first frame doesn't matter")
    func laterFrames() throws {
        let picture = try Self.lossless()
        let first = [Self.extended(flags: 2, 29, 18), ("ANMF", Self.frame(picture))]
        let decoded = try ImageDecoder.decode(Self.webp(first))
        #expect(try decoded == ImageDecoder.decode(TestFixtures.bytes("images/formats/lossless.webp")))
        #expect(try ImageDecoder.decode(Self.webp(first + [("ANMF", [1, 2, 3])])) == decoded)
        #expect(try ImageDecoder.decode(Self.webp(first) + Array("ANMFmore".utf8)) == decoded)
    }
}
