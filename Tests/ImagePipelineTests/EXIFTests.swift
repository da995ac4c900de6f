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
        "is ignored as BYTE, text, UNDEFINED or an unknown type",
        arguments: [(1, 1), (2, 1), (7, 1), (0, 2), (99, 2)] as [(UInt32, Int)])
    func otherTypes(type: UInt32, size: Int) throws {
        #expect(try orientation(inPNGWith: tiff(type: type, size: size)) == .topLeft)
    }

    @Test(
        "is the first of several numbers, and ignored where there are none or they lie beyond the block",
        arguments: [(0, .topLeft), (1, .rightTop), (2, .rightTop), (.max, .topLeft)] as [(UInt32, Orientation)])
    func counts(count: UInt32, expected: Orientation) throws {
        #expect(try orientation(inPNGWith: tiff(count: count)) == expected)
    }

    /// A big-endian TIFF block of these entries, whose values, if longer than four bytes, are offsets into `elsewhere`.
    private func tiff(entries: [(tag: UInt32, type: UInt32, count: UInt32, value: [UInt8])], elsewhere: [UInt8] = [])
        -> [UInt8]
    {
        func short(_ value: UInt32) -> ArraySlice<UInt8> { PNGBuilder.bigEndian(value).suffix(2) }
        var block = Array("MM\0*".utf8) + PNGBuilder.bigEndian(8) + short(UInt32(entries.count))
        for entry in entries {
            block += short(entry.tag) + short(entry.type) + PNGBuilder.bigEndian(entry.count)
            block += entry.value + [UInt8](repeating: 0, count: 4 - entry.value.count)
        }
        return block + PNGBuilder.bigEndian(0) + elsewhere
    }

    @Test(
        "may lie elsewhere in the block",
        arguments: [
            (3, 3, [0, 6, 0, 1, 0, 1], .rightTop), (5, 1, [0, 0, 0, 6, 0, 0, 0, 1], .rightTop),
            (5, 1, [0, 0, 0, 12, 0, 0, 0, 2], .rightTop), (5, 1, [0, 0, 0, 13, 0, 0, 0, 2], .topLeft),
            (5, 1, [0, 0, 0, 6, 0, 0, 0, 0], .topLeft),
            (10, 1, [0xff, 0xff, 0xff, 0xfa, 0xff, 0xff, 0xff, 0xff], .rightTop),
            (12, 1, [0x40, 0x18, 0, 0, 0, 0, 0, 0], .rightTop), (12, 1, [0x40, 0x18, 0, 0, 0, 0, 0, 1], .topLeft),
            (16, 1, [0, 0, 0, 0, 0, 0, 0, 6], .rightTop), (16, 1, [0x80, 0, 0, 0, 0, 0, 0, 6], .topLeft),
        ] as [(UInt32, UInt32, [UInt8], Orientation)])
    func valuesElsewhere(type: UInt32, count: UInt32, value: [UInt8], expected: Orientation) throws {
        let offset: [UInt8] = [0, 0, 0, 26]
        let block = tiff(entries: [(0x0112, type, count, offset)], elsewhere: value)
        #expect(try orientation(inPNGWith: block) == expected)
        // Cut off, it is no value, and says nothing.
        #expect(try orientation(inPNGWith: Array(block.dropLast())) == .topLeft)
    }

    @Test("may be a FLOAT") func float() throws {
        #expect(try orientation(inPNGWith: tiff(entries: [(0x0112, 11, 1, [0x40, 0xc0, 0, 0])])) == .rightTop)
        #expect(try orientation(inPNGWith: tiff(entries: [(0x0112, 11, 1, [0x40, 0xc0, 0, 1])])) == .topLeft)
        #expect(try orientation(inPNGWith: tiff(entries: [(0x0112, 11, 1, [0x7f, 0xc0, 0, 0])])) == .topLeft)
    }

    @Test("of several entries is the first that has a value, up to one whose value isn't in the block")
    func severalEntries() throws {
        let six = (tag: 0x0112 as UInt32, type: 3 as UInt32, count: 1 as UInt32, value: [0, 6] as [UInt8])
        var three = six
        three.value = [0, 3]
        var none = six
        none.count = 0
        var unknown = three
        unknown.type = 99
        #expect(try orientation(inPNGWith: tiff(entries: [six, three])) == .rightTop)
        #expect(try orientation(inPNGWith: tiff(entries: [three, six])) == .bottomRight)
        #expect(try orientation(inPNGWith: tiff(entries: [none, six])) == .rightTop)
        #expect(try orientation(inPNGWith: tiff(entries: [unknown, six])) == .rightTop)
        let missing = (tag: 0x010f as UInt32, type: 2 as UInt32, count: 8 as UInt32, value: [0, 0, 0, 200] as [UInt8])
        #expect(try orientation(inPNGWith: tiff(entries: [missing, six])) == .topLeft)
        #expect(try orientation(inPNGWith: tiff(entries: [six, missing])) == .rightTop)
        // More bytes than the whole block has are passed over instead.
        let huge = (tag: 0x010f as UInt32, type: 2 as UInt32, count: UInt32.max, value: [0, 0, 0, 8] as [UInt8])
        #expect(try orientation(inPNGWith: tiff(entries: [huge, six])) == .rightTop)
    }

    @Test(
        "may stand behind any header that Pillow takes",
        arguments: [
            ("MM\0*", .rightTop), ("MM*\0", .rightTop), ("MM\0+", .rightTop), ("II*\0", .topLeft), ("MN\0*", .topLeft),
            ("MM\0,", .topLeft),
        ] as [(String, Orientation)])
    func headers(header: String, expected: Orientation) throws {
        #expect(try orientation(inPNGWith: Array(header.utf8) + tiff().dropFirst(4)) == expected)
        let little = ["II*\0": Orientation.rightTop, "II\0*": .rightTop, "II+\0": .topLeft]
        for (header, expected) in little {
            let exif = Array(header.utf8) + tiff(isLittleEndian: true).dropFirst(4)
            #expect(try orientation(inPNGWith: exif) == expected)
        }
    }

    @Test(
        "may have JPEG's prefix in a PNG too",
        arguments: [(0, .rightTop), (1, .rightTop), (2, .topLeft)] as [(Int, Orientation)])
    func prefix(count: Int, expected: Orientation) throws {
        let prefixes = [[UInt8]](repeating: Array("Exif\0\0".utf8), count: count).flatMap { $0 }
        #expect(try orientation(inPNGWith: prefixes + tiff()) == expected)
    }

    @Test("in a JPEG is that of all EXIF segments, one continuing the other")
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
        let block = tiff()
        for length in 1..<block.count {
            try expect(.rightTop, fromJPEGWith: [prefix + block[..<length], prefix + block[length...]])
        }
    }

    @Test("in a JPEG is XMP's where EXIF states none")
    func xmpInJPEG() throws {
        func xmp(_ text: String) -> [UInt8] { Array("http://ns.adobe.com/xap/1.0/\0".utf8) + Array(text.utf8) }
        let turned = xmp(#"<x tiff:Orientation="6"/>"#)
        let exif = Array("Exif\0\0".utf8)
        try expect(.rightTop, fromJPEGWith: [turned])
        try expect(.rightTop, fromJPEGWith: [xmp("<tiff:Orientation>6</tiff:Orientation>")])
        for unread in [
            "", "tiff:Orientation", "tiff:Orientation=", #"tiff:Orientation=""#, "tiff:Orientation='6'",
            #"exif:Orientation="6""#, #"tiff:Orientation="0""#, #"tiff:Orientation="9""#,
        ] {
            try expect(.topLeft, fromJPEGWith: [xmp(unread)])
        }
        try expect(.rightTop, fromJPEGWith: [xmp(#"tiff:Orientation="x" tiff:Orientation="6""#)])
        try expect(.rightTop, fromJPEGWith: [xmp(#"tiff:Orientation="3""#), turned])
        try expect(.topLeft, fromJPEGWith: [exif + tiff(1), turned])
        try expect(.topLeft, fromJPEGWith: [turned, exif + tiff(0)])
        try expect(.rightTop, fromJPEGWith: [exif, turned])
        try expect(.rightTop, fromJPEGWith: [exif + tiff(count: 0), turned])
        try expect(.topLeft, fromJPEGWith: [exif + Array("no TIFF block".utf8), turned])
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
