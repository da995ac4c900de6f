import TestFixtures
import Testing

@testable import ImagePipeline

/// Keeps the promise that every kind of PNG becomes the RGB that Pillow's `convert("RGB")` gives; the expectations
/// below are what Pillow 13.0 answered for the same files.
@Suite("Every kind of PNG decodes")
struct PNGVarietyTests {
    struct Case: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let file: [UInt8]
        let pixels: [UInt8]

        init(
            _ description: String, _ colorType: PNGBuilder.ColorType, _ bitDepth: UInt8, width: UInt32, row: [UInt8],
            before: [(type: String, data: [UInt8])] = [], gives pixels: [UInt8]
        ) {
            testDescription = description
            file =
                PNGBuilder(
                    width: width, height: 1, bitDepth: bitDepth, colorType: colorType, rows: [row], before: before
                ).file
            self.pixels = pixels
        }
    }

    static let palette = (type: "PLTE", data: [10, 20, 30, 40, 50, 60, 70, 80, 90] as [UInt8])

    static let cases: [Case] = [
        Case("1-bit gray", .gray, 1, width: 3, row: [0b1010_0000], gives: [255, 255, 255, 0, 0, 0, 255, 255, 255]),
        Case("2-bit gray", .gray, 2, width: 2, row: [0b0111_0000], gives: [85, 85, 85, 255, 255, 255]),
        Case("4-bit gray", .gray, 4, width: 2, row: [0x1f], gives: [17, 17, 17, 255, 255, 255]),
        Case("8-bit gray", .gray, 8, width: 1, row: [200], gives: [200, 200, 200]),
        Case(
            "16-bit gray is clamped", .gray, 16, width: 4, row: [0, 7, 0, 255, 1, 0, 0x80, 0],
            gives: [7, 7, 7, 255, 255, 255, 255, 255, 255, 255, 255, 255]),
        Case(
            "gray with a transparent value", .gray, 8, width: 2, row: [0, 9], before: [("tRNS", [0, 9])],
            gives: [0, 0, 0, 9, 9, 9]),
        Case("gray and alpha", .grayAlpha, 8, width: 2, row: [50, 0, 60, 255], gives: [50, 50, 50, 60, 60, 60]),
        Case(
            "16-bit gray and alpha keeps the high byte", .grayAlpha, 16, width: 1, row: [1, 2, 0, 0], gives: [1, 1, 1]),
        Case("8-bit colour", .rgb, 8, width: 1, row: [1, 2, 3], gives: [1, 2, 3]),
        Case(
            "16-bit colour keeps the high byte", .rgb, 16, width: 1, row: [1, 255, 2, 128, 0xff, 0], gives: [1, 2, 255]),
        Case(
            "colour with a transparent value", .rgb, 8, width: 1, row: [1, 2, 3],
            before: [("tRNS", [0, 1, 0, 2, 0, 3])],
            gives: [1, 2, 3]),
        Case("colour and alpha", .rgba, 8, width: 1, row: [9, 8, 7, 0], gives: [9, 8, 7]),
        Case("16-bit colour and alpha", .rgba, 16, width: 1, row: [9, 200, 8, 1, 7, 0, 0, 0], gives: [9, 8, 7]),
        Case(
            "1-bit palette", .palette, 1, width: 2, row: [0b0100_0000], before: [palette],
            gives: [10, 20, 30, 40, 50, 60]),
        Case(
            "2-bit palette", .palette, 2, width: 2, row: [0b1000_0000], before: [palette],
            gives: [70, 80, 90, 10, 20, 30]),
        Case("4-bit palette", .palette, 4, width: 2, row: [0x21], before: [palette], gives: [70, 80, 90, 40, 50, 60]),
        Case(
            "8-bit palette with alpha", .palette, 8, width: 2, row: [2, 0], before: [palette, ("tRNS", [0, 128])],
            gives: [70, 80, 90, 10, 20, 30]),
        Case(
            "gamma and background are ignored", .rgb, 8, width: 1, row: [100, 101, 102],
            before: [("gAMA", [0, 0, 0x27, 0x10]), ("bKGD", [0, 9, 0, 9, 0, 9])], gives: [100, 101, 102]),
    ]

    @Test("decodes to RGB", arguments: cases)
    func decodes(testCase: Case) throws {
        #expect(try ImageDecoder.decode(testCase.file).pixels == testCase.pixels)
    }

    @Test("eXIf is found before and after the pixels", arguments: [true, false])
    func orientationChunk(beforePixels: Bool) throws {
        var png = PNGBuilder(width: 2, height: 1, colorType: .gray, rows: [[1, 2]])
        let chunk = (type: "eXIf", data: PNGBuilder.exif(orientation: 6))
        if beforePixels { png.before = [chunk] } else { png.after = [chunk] }
        let image = try ImageDecoder.decode(png.file)
        #expect(try ImageDecoder.probe(png.file).orientation == .rightTop)
        #expect(image == RGBImage(width: 1, height: 2, pixels: [1, 1, 1, 2, 2, 2]))
    }

    @Test("an orientation outside 1...8 is ignored", arguments: [0, 9, 255] as [UInt8])
    func impossibleOrientation(value: UInt8) throws {
        let png = PNGBuilder(
            width: 2, height: 1, colorType: .gray, rows: [[1, 2]],
            before: [("eXIf", PNGBuilder.exif(orientation: value))])
        #expect(try ImageDecoder.probe(png.file).orientation == .topLeft)
    }

    @Test("EXIF cut short anywhere is ignored, not followed")
    func truncatedEXIF() throws {
        let whole = PNGBuilder.exif(orientation: 3)
        for length in 0..<22 {
            let png = PNGBuilder(
                width: 1, height: 1, colorType: .gray, rows: [[1]], before: [("eXIf", Array(whole[..<length]))])
            #expect(try ImageDecoder.probe(png.file).orientation == .topLeft)
        }
    }

    @Test("A picture written as PNG reads back as it was", arguments: [(1, 1), (32, 32), (77, 3)])
    func written(width: Int, height: Int) throws {
        let pixels = (0..<width * height * 3).map { UInt8(truncatingIfNeeded: $0 * 31) }
        let image = RGBImage(width: width, height: height, pixels: pixels)
        #expect(try ImageDecoder.decode(image.png()) == image)
    }
}
