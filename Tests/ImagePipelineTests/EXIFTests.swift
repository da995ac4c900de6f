import TestFixtures
import Testing

@testable import ImagePipeline

/// Keeps the promise that an orientation is applied where Pillow's `exif_transpose` applies it; what is expected is what
/// Pillow 13.0 did with the same blocks.
@Suite("Orientation in EXIF")
struct EXIFTests {
    /// A TIFF block whose only entry is an orientation, left-justified in its field as TIFF wants it.
    private func tiff(
        _ orientation: UInt32 = 6, type: UInt32 = 3, size: Int = 2, count: UInt32 = 1, isLittleEndian: Bool = false
    ) -> [UInt8] {
        func number(_ value: UInt32, _ byteCount: Int) -> [UInt8] {
            let bytes = PNGBuilder.bigEndian(value).suffix(byteCount)
            return isLittleEndian ? bytes.reversed() : Array(bytes)
        }
        let header = Array((isLittleEndian ? "II" : "MM").utf8) + number(42, 2) + number(8, 4)
        let entry = number(0x0112, 2) + number(type, 2) + number(count, 4) + number(orientation, size)
        return header + number(1, 2) + entry + [UInt8](repeating: 0, count: 4 - size) + number(0, 4)
    }

    private func orientation(inPNGWith exif: [UInt8]) throws -> Orientation {
        let png = PNGBuilder(width: 1, height: 1, colorType: .gray, rows: [[1]], before: [("eXIf", exif)])
        return try ImageDecoder.probe(png.file).orientation
    }

    @Test(
        "may be an integer of any type but BYTE, in either byte order",
        arguments: [(3, 2), (4, 4), (6, 1), (8, 2), (9, 4), (13, 4)] as [(UInt32, Int)], [false, true])
    func integerTypes(type: (number: UInt32, size: Int), isLittleEndian: Bool) throws {
        for orientation in Orientation.allCases {
            let exif = tiff(
                UInt32(orientation.rawValue), type: type.number, size: type.size, isLittleEndian: isLittleEndian)
            #expect(try self.orientation(inPNGWith: exif) == orientation)
        }
        for impossible in [0, 9, 0xff] as [UInt32] {
            let exif = tiff(impossible, type: type.number, size: type.size, isLittleEndian: isLittleEndian)
            #expect(try self.orientation(inPNGWith: exif) == .topLeft)
        }
    }

    @Test(
        "is ignored as BYTE, text, UNDEFINED or a type that there is not",
        arguments: [(1, 1), (2, 1), (7, 1), (0, 2), (99, 2)] as [(UInt32, Int)])
    func otherTypes(type: UInt32, size: Int) throws {
        #expect(try orientation(inPNGWith: tiff(type: type, size: size)) == .topLeft)
    }

    @Test(
        "is ignored where there are none, or more numbers than the entry holds",
        arguments: [(0, .topLeft), (1, .rightTop), (2, .rightTop), (3, .topLeft), (.max, .topLeft)]
            as [(UInt32, Orientation)])
    func counts(count: UInt32, expected: Orientation) throws {
        #expect(try orientation(inPNGWith: tiff(count: count)) == expected)
    }

    @Test(
        "may have JPEG's prefix in a PNG too",
        arguments: [(0, .rightTop), (1, .rightTop), (2, .topLeft)] as [(Int, Orientation)])
    func prefix(count: Int, expected: Orientation) throws {
        let prefixes = [[UInt8]](repeating: Array("Exif\0\0".utf8), count: count).flatMap { $0 }
        #expect(try orientation(inPNGWith: prefixes + tiff()) == expected)
    }

    @Test("in a JPEG is that of the first EXIF segment with contents")
    func segments() throws {
        let prefix = Array("Exif\0\0".utf8)
        let (turned, upright, empty) = (prefix + tiff(), prefix + tiff(1), prefix)
        let foreign = Array("http://ns.adobe.com/xap/1.0/\0<x/>".utf8)
        try expect(.rightTop, fromJPEGWith: [turned])
        try expect(.rightTop, fromJPEGWith: [turned, upright])
        try expect(.topLeft, fromJPEGWith: [upright, turned])
        try expect(.rightTop, fromJPEGWith: [empty, turned])
        try expect(.rightTop, fromJPEGWith: [foreign, turned])
        try expect(.rightTop, fromJPEGWith: [prefix + turned])
        try expect(.topLeft, fromJPEGWith: [prefix + Array("no TIFF block".utf8), turned])
        try expect(.topLeft, fromJPEGWith: [])
    }

    @Test("in an APP1 segment cut off anywhere is a truncated image")
    func truncatedSegment() {
        let whole = [0xff, 0xd8] + segment(Array("Exif\0\0".utf8) + tiff())
        for length in 3..<whole.count {
            let error = #expect(throws: ImageError.self) { try ImageDecoder.probe(Array(whole[..<length])) }
            #expect(error?.kind == .truncated)
        }
    }

    private func segment(_ data: [UInt8]) -> [UInt8] {
        [0xff, 0xe1] + PNGBuilder.bigEndian(UInt32(data.count + 2)).suffix(2) + data
    }

    private func expect(
        _ orientation: Orientation, fromJPEGWith segments: [[UInt8]], sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        var file = try TestFixtures.bytes("images/tiny-1x1.jpg")
        file.insert(contentsOf: segments.flatMap(segment), at: 2)
        #expect(try ImageDecoder.probe(file).orientation == orientation, sourceLocation: sourceLocation)
    }
}
