import TestFixtures
import Testing

@testable import ImagePipeline

/// Keeps the promise that an image costs what its bytes and pixels do, however it is made. A decoder that breaks it takes
/// hours over these files or takes what is refused here: no time is measured.
@Suite("Small files don't cost much", .timeLimit(.minutes(20)))
struct CostlyImageTests {
    @Test(
        "JPEG segments cost what their bytes do, however many there are",
        arguments: [
            ("APP1", [0xff, 0xe1, 0, 2]), ("APP1 shorter than its own length", [0xff, 0xe1, 0, 0]),
            ("EXIF without contents", [0xff, 0xe1, 0, 8] + Array("Exif\0\0".utf8)), ("APP0", [0xff, 0xe0, 0, 2]),
            ("APP2", [0xff, 0xe2, 0, 2]), ("APP14", [0xff, 0xee, 0, 2]), ("comment", [0xff, 0xfe, 0, 2]),
            ("quantisation tables", [0xff, 0xdb, 0, 2]), ("Huffman tables", [0xff, 0xc4, 0, 2]),
            ("restart", [0xff, 0xd0]), ("fill bytes", [0xff, 0xff]),
        ] as [(String, [UInt8])])
    func manySegments(name: String, segment: [UInt8]) throws {
        let plain = try TestFixtures.bytes("images/tiny-1x1.jpg")
        var segments = segment
        while segments.count < 2 << 20 { segments += segments }
        var file = plain
        file.insert(contentsOf: segments, at: 2)
        let expected = try ImageDecoder.decode(plain)
        #expect(try ImageDecoder.decode(file) == expected)
    }

    @Test("an arithmetic-coded JPEG, whose scans libjpeg completes with zeros, is unsupported")
    func arithmeticCoding() {
        // Start of image, the arithmetic frame header of one gray pixel, a scan header, and the end where data should be.
        let file: [UInt8] =
            [0xff, 0xd8, 0xff, 0xc9, 0, 11, 8, 0, 1, 0, 1, 1, 1, 0x11, 0]
            + [0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0, 0xff, 0xd9]
        for read in [{ _ = try ImageDecoder.probe(file) }, { _ = try ImageDecoder.decode(file) }] as [() throws -> Void]
        {
            let error = #expect(throws: ImageError.self) { try read() }
            #expect(error?.kind == .unsupported)
            #expect(error?.message.contains("arithmetic coding") == true)
        }
    }

    @Test("what a PNG's stream holds beyond the last row isn't unfolded without end", arguments: [1000, 4 << 20])
    func endlessStream(chunkLength: Int) throws {
        let stream = PNGBuilder.zlib(zeros: 400 << 20)
        let chunks = stride(from: 0, to: stream.count, by: chunkLength).map { Array(stream[$0...].prefix(chunkLength)) }
        for isInterlaced in [false, true] {
            let file = Self.png(width: 1, height: 1, isInterlaced: isInterlaced, chunks: chunks)
            #expect(try ImageDecoder.decode(file).pixels == [0, 0, 0])
        }
    }

    @Test("what stands between a PNG's rows isn't read without end")
    func endlessRow() {
        let blocks = [[0, 1]] + [[UInt8]](repeating: [], count: 30_000) + [[0, 2]]
        let file = Self.png(width: 1, height: 2, isInterlaced: false, chunks: [stored(blocks)])
        let error = #expect(throws: ImageError.self) { try ImageDecoder.decode(file) }
        #expect(error?.kind == .tooLarge)
        #expect(error?.message.contains("row") == true)
    }

    /// How writers may divide the stream of an image, and what some leave behind it.
    enum Layout: CaseIterable {
        case oneChunk, bytewise, emptyBlocks, emptyChunks, superfluousRows

        func chunks(_ rows: [UInt8]) -> [[UInt8]] {
            let whole = stored([rows])
            return switch self {
            case .oneChunk: [whole]
            case .bytewise: stored(rows.map { [$0] }).map { [$0] }
            case .emptyBlocks: [stored([rows] + [[UInt8]](repeating: [], count: 10_000))]
            case .emptyChunks:
                [Array(whole.dropLast(4))] + [[UInt8]](repeating: [], count: 1000) + [Array(whole.suffix(4))]
            case .superfluousRows: [stored([rows, [UInt8](repeating: 0, count: 50_000)])]
            }
        }
    }

    @Test("PNGs that an honest writer may make decode, whatever follows the last row", arguments: Layout.allCases)
    func honestStreams(layout: Layout) throws {
        let flat = Self.png(
            width: 4, height: 2, isInterlaced: false, chunks: layout.chunks([0, 1, 2, 3, 4, 0, 5, 6, 7, 8]))
        // Of Adam7's seven passes an image of 4x2 pixels has the first, the fourth, the sixth and the seventh.
        let interlaced = Self.png(
            width: 4, height: 2, isInterlaced: true, chunks: layout.chunks([0, 1, 0, 3, 0, 2, 4, 0, 5, 6, 7, 8]))
        let expected = (1...8).flatMap { [UInt8](repeating: $0, count: 3) }
        #expect(try ImageDecoder.decode(flat).pixels == expected)
        #expect(try ImageDecoder.decode(interlaced).pixels == expected)
    }

    private static func png(width: UInt32, height: UInt32, isInterlaced: Bool, chunks: [[UInt8]]) -> [UInt8] {
        let header = PNGBuilder.bigEndian(width) + PNGBuilder.bigEndian(height) + [8, 0, 0, 0, isInterlaced ? 1 : 0]
        return PNGBuilder.signature + PNGBuilder.chunk("IHDR", header)
            + chunks.flatMap { PNGBuilder.chunk("IDAT", $0) } + PNGBuilder.chunk("IEND", [])
    }
}

/// A zlib stream of uncompressed blocks and an empty one that ends it.
private func stored(_ blocks: [[UInt8]]) -> [UInt8] {
    var stream: [UInt8] = [0x78, 0x01]
    var (low, high) = (1 as UInt32, 0 as UInt32)
    for block in blocks {
        let length = UInt16(block.count)
        stream += [0] + littleEndian(length) + littleEndian(~length) + block
        for byte in block {
            low = (low + UInt32(byte)) % 65521
            high = (high + low) % 65521
        }
    }
    return stream + [1, 0, 0, 0xff, 0xff] + PNGBuilder.bigEndian(high << 16 | low)
}
