import TestFixtures
import Testing

@testable import ImagePipeline

/// Keeps the promise that no bytes crash the service or make it allocate beyond its limits, and that their sender
/// learns what is wrong.
@Suite("Hostile and broken images get a clear error")
struct HostileImageTests {
    @Test(
        "every truncation that loses a pixel is an error, and any other leaves the picture as it is",
        arguments: [
            "rgb-32x32.jpg", "tiny-1x1.jpg", "bilevel-50x50.png", "formats/lossy.webp", "formats/lossless.webp",
            "formats/palette.gif", "formats/interlaced.gif", "formats/rgb.bmp", "formats/run-lengths-4.bmp",
        ])
    func truncated(file: String) throws {
        let bytes = try TestFixtures.bytes("images/" + file)
        let whole = try ImageDecoder.decode(bytes)
        var complete: [Int] = []
        for length in 1..<bytes.count {
            do throws(ImageError) {
                #expect(try ImageDecoder.decode(Array(bytes[..<length])) == whole)
                complete.append(length)
            } catch {
                #expect(complete.isEmpty, "\(length) bytes are refused, fewer are not")
                // A BMP's headers tell it from text.
                if length >= 18 { #expect(error.kind == .truncated, "\(length) bytes: \(error.message)") }
            }
        }
        // Of a JPEG its end-of-image marker, of a PNG the checksums and the closing chunk, of a GIF the last code; of the others what
        // fills the last row up or ends the rows.
        let isClosed = ["jpg", "png", "gif"].contains { file.hasSuffix($0) }
        #expect((isClosed ? 2...24 : 0...12).contains(complete.count), "\(complete)")
    }

    @Test("truncation of larger files is an error", arguments: ["rgb-301x533-progressive.jpg", "cmyk-200x150.jpg"])
    func truncatedInSteps(file: String) throws {
        let bytes = try TestFixtures.bytes("images/" + file)
        for length in stride(from: 3, to: bytes.count - 2, by: 397) {
            #expect(throws: ImageError.self) { try ImageDecoder.decode(Array(bytes[..<length])) }
        }
    }

    @Test(
        "flipped bits give an image or an error",
        arguments: [
            "bilevel-50x50.png", "cmyk-200x150.jpg", "exif-orientation-6-90x60.jpg", "gray-77x55.png",
            "palette-100x100.png", "rgb-301x533-progressive.jpg", "rgb-32x32.jpg", "rgba-64x48.png",
            "formats/lossless.webp", "formats/animated-lossy.webp", "formats/placed-transparent.gif",
            "formats/run-lengths-8.bmp", "formats/fields-32.bmp",
        ])
    func flipped(file: String) throws {
        let bytes = try TestFixtures.bytes("images/" + file)
        let limits = ImageLimits(maximumPixels: 1_000_000)
        var random = SeededGenerator(seed: 20_241_201)
        var (decoded, refused) = (0, 0)
        for round in 0..<400 {
            var damaged = bytes
            for _ in 0...(round % 4) {
                damaged[Int.random(in: 0..<(round % 2 == 0 ? min(700, bytes.count) : bytes.count), using: &random)] ^=
                    1 << UInt8.random(in: 0..<8, using: &random)
            }
            do throws(ImageError) {
                let image = try ImageDecoder.decode(damaged, limits: limits)
                #expect(image.pixels.count == image.width * image.height * 3)
                decoded += 1
            } catch {
                #expect(!error.message.isEmpty)
                refused += 1
            }
        }
        #expect(decoded + refused == 400 && refused > 20, "\(decoded) decoded, \(refused) refused")
    }

    @Test("a header that claims too many pixels is refused before they are allocated")
    func tooManyPixels() {
        let bomb = PNGBuilder(width: 60_000, height: 60_000, colorType: .rgba, rows: [])
        expect(.tooLarge, naming: "60000x60000", from: bomb.file)
        let widest = PNGBuilder(width: 0x7fff_ffff, height: 0x7fff_ffff, bitDepth: 16, colorType: .rgba, rows: [])
        expect(.tooLarge, naming: "2147483647x2147483647", from: widest.file)
        let beyondPNG = PNGBuilder(width: .max, height: .max, colorType: .gray, rows: [])
        expect(.tooLarge, naming: "4294967295x4294967295", from: beyondPNG.file)
        let unlimited = ImageLimits(maximumPixels: .max, maximumAspectRatio: .infinity)
        expect(.tooLarge, naming: "2147483647x2147483647", from: widest.file, limits: unlimited)
    }

    @Test("an image may be just as large and as long as the limits say")
    func limitsAreInclusive() throws {
        let png = PNGBuilder(width: 6, height: 2, colorType: .gray, rows: [[1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6]]).file
        let exact = ImageLimits(maximumPixels: 12, maximumAspectRatio: 3, maximumBytes: png.count)
        #expect(try ImageDecoder.decode(png, limits: exact).width == 6)
        var tight = exact
        tight.maximumPixels = 11
        expect(.tooLarge, naming: "11", from: png, limits: tight)
        tight = exact
        tight.maximumAspectRatio = 2.9
        expect(.tooElongated, naming: "6x2", from: png, limits: tight)
        tight = exact
        tight.maximumBytes -= 1
        expect(.tooLarge, naming: "\(png.count) bytes", from: png, limits: tight)
    }

    @Test("a strip is refused as too elongated")
    func tooElongated() throws {
        expect(
            .tooElongated, naming: "2000x1",
            from: PNGBuilder(width: 2000, height: 1, colorType: .gray, rows: [[UInt8](repeating: 0, count: 2000)]).file)
        expect(.tooElongated, naming: "2000x9", from: try TestFixtures.bytes("images/wide-2000x9.jpg"))
    }

    @Test("no bytes and no pixels are told apart from damage")
    func empty() throws {
        expect(.empty, naming: "no bytes", from: [])
        #expect(throws: ImageError.self) { try ImageDecoder.probe([]) }
        expect(.empty, naming: "zero pixels", from: PNGBuilder(width: 0, height: 5, colorType: .gray, rows: []).file)
        var jpeg = try TestFixtures.bytes("images/tiny-1x1.jpg")
        let frame = try frameHeader(in: jpeg)
        jpeg.replaceSubrange(frame + 5..<frame + 9, with: [0, 0, 0, 0])
        expect(.empty, naming: "JPEG", from: jpeg)
    }

    @Test("damage that libjpeg would paint gray is an error")
    func corruptJPEG() throws {
        var jpeg = try TestFixtures.bytes("images/rgb-640x427-q90-420.jpg")
        jpeg.replaceSubrange(40_000..<40_064, with: [UInt8](repeating: 0xff, count: 64))
        expect(.corrupt, naming: "of \(jpeg.count)", from: jpeg)
    }

    @Test("a JPEG of 12 bits a sample is unsupported, not damaged")
    func twelveBits() throws {
        var jpeg = try TestFixtures.bytes("images/rgb-32x32.jpg")
        let frame = try frameHeader(in: jpeg)
        jpeg[frame + 4] = 12
        expect(.unsupported, naming: "precision", from: jpeg)
    }

    @Test(
        "JPEGs of every other process are unsupported and called by name",
        arguments: [
            (0xc3, "lossless coding"), (0xc5, "hierarchical"), (0xc6, "hierarchical"), (0xc7, "hierarchical lossless"),
            (0xc8, "extension"), (0xc9, "arithmetic coding"), (0xca, "arithmetic coding"),
            (0xcb, "lossless arithmetic"),
            (0xcd, "hierarchical arithmetic"), (0xce, "hierarchical arithmetic"),
            (0xcf, "hierarchical lossless arithmetic"), (0xde, "hierarchical"), (0xf7, "JPEG-LS"),
        ] as [(UInt8, String)])
    func foreignProcess(marker: UInt8, name: String) throws {
        var jpeg = try TestFixtures.bytes("images/rgb-32x32.jpg")
        let frame = try frameHeader(in: jpeg)
        jpeg[frame + 1] = marker
        expect(.unsupported, naming: name, from: jpeg)
        let error = #expect(throws: ImageError.self) { try ImageDecoder.probe(jpeg) }
        #expect(error?.kind == .unsupported)
        // Bytes that are no markers may stand between segments, and say nothing.
        jpeg.insert(contentsOf: [0, 0xff, 0, 0xff, 0xff], at: frame)
        expect(.unsupported, naming: name, from: jpeg)
    }

    @Test("a JPEG of two components, or of sampling factors in no whole ratio, is unsupported")
    func unsupportedComponents() throws {
        let jpeg = try TestFixtures.bytes("images/rgb-32x32.jpg")
        let frame = try frameHeader(in: jpeg)
        var fractional = jpeg
        fractional[frame + 11] = 0x31
        fractional[frame + 14] = 0x21
        expect(.unsupported, naming: "sampling", from: fractional)
        var two = jpeg
        two[frame + 3] -= 3
        two[frame + 9] = 2
        two.removeSubrange(frame + 16..<frame + 19)
        let scan = try #require((0..<two.count - 1).first { two[$0] == 0xff && two[$0 + 1] == 0xda })
        two[scan + 3] -= 2
        two[scan + 4] = 2
        two.removeSubrange(scan + 9..<scan + 11)
        expect(.unsupported, naming: "components", from: two)
    }

    @Test("a progressive JPEG of endless scans is refused")
    func scanBomb() throws {
        var jpeg = try TestFixtures.bytes("images/rgb-301x533-progressive.jpg")
        let start = try #require((0..<jpeg.count - 1).first { jpeg[$0] == 0xff && jpeg[$0 + 1] == 0xda })
        let end = try #require(
            (start + 2..<jpeg.count - 1).first { jpeg[$0] == 0xff && jpeg[$0 + 1] != 0 })
        let firstScan = Array(jpeg[start..<end])
        jpeg.insert(contentsOf: [[UInt8]](repeating: firstScan, count: 100).joined(), at: end)
        expect(.tooLarge, naming: "scans", from: jpeg)
    }

    @Test("chunks that lie about their length are errors")
    func lyingChunks() {
        var png = PNGBuilder(width: 1, height: 1, colorType: .gray, rows: [[7]]).file
        png.replaceSubrange(33..<37, with: [0xff, 0xff, 0xff, 0xff])
        #expect(throws: ImageError.self) { try ImageDecoder.decode(png) }
        let missing = PNGBuilder.signature + PNGBuilder.chunk("IDAT", [UInt8](repeating: 0, count: 13))
        expect(.corrupt, naming: "IHDR", from: missing)
    }

    @Test("fewer pixels than the header says are an error", arguments: [0, 1] as [UInt32])
    func tooFewPixels(rows: UInt32) {
        let png = PNGBuilder(
            width: 2, height: 2, colorType: .gray, rows: [[UInt8]](repeating: [1, 2], count: Int(rows)))
        expect(.corrupt, naming: "Not enough image data", from: png.file)
    }

    @Test(
        "other formats are called by name",
        arguments: [
            ("II*\0........", "TIFF"), ("MM\0*........", "TIFF"),
            ("....ftypheic....", "HEIC"), ("....ftypavif....", "AVIF"), ("....ftypisom....", "video"),
            ("BM....\0\0\0\0....", "BMP"), ("%PDF-1.7....", "PDF"),
            ("<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
            ("<?xml version='1.0'?> <!-- drawn --> <svg/>", "SVG"), ("<!DOCTYPE html><p>", "HTML"),
            ("{\"images\":[]}", "JSON"), ("PK\u{3}\u{4}....", "ZIP"), ("hello, world", "not an image"),
            ("x", "not an image"),
        ])
    func foreign(text: String, name: String) {
        expect(.unrecognised, naming: name, from: Array(text.utf8))
    }

    private func expect(
        _ kind: ImageError.Kind, naming part: String, from bytes: [UInt8], limits: ImageLimits = ImageLimits(),
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let error = #expect(throws: ImageError.self, sourceLocation: sourceLocation) {
            try ImageDecoder.decode(bytes, limits: limits)
        }
        #expect(error?.kind == kind, sourceLocation: sourceLocation)
        #expect(error?.message.contains(part) == true, "\(error?.message ?? "")", sourceLocation: sourceLocation)
    }

    /// The offset of the frame header's marker: FF C0, length, precision, height, width, components.
    private func frameHeader(in jpeg: [UInt8]) throws -> Int {
        try #require((0..<jpeg.count - 1).first { jpeg[$0] == 0xff && jpeg[$0 + 1] == 0xc0 })
    }
}
