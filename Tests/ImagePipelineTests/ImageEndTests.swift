import TestFixtures
import Testing

@testable import ImagePipeline

/// Keeps the promise that an image is decoded if every pixel is there, whatever its end looks like, and that one that lacks
/// a pixel is refused.
@Suite("What follows the last pixel")
struct ImageEndTests {
    private static let endOfImage: [UInt8] = [0xff, 0xd9]
    private static let jpegs = [
        "rgb-32x32.jpg", "tiny-1x1.jpg", "gray-257x130.jpg", "rgb-640x427-q90-420.jpg", "cmyk-200x150.jpg",
        "rgb-301x533-progressive.jpg",
    ]

    /// Ends of files that lack the end-of-image marker, or have more than it.
    enum End: CaseIterable {
        case none, zeros, manyZeros, fillBytes, text, halfAMarker, anotherFrame, marker, markerAndZeros, markerAndText

        var bytes: [UInt8] {
            switch self {
            case .none: []
            case .zeros: [0]
            case .manyZeros: [UInt8](repeating: 0, count: 5000)
            case .fillBytes: [UInt8](repeating: 0xff, count: 5000)
            case .text: Array("downloaded by hand".utf8)
            case .halfAMarker: [0xff]
            case .anotherFrame: [0xff, 0xc0, 0, 11, 8, 0, 1, 0, 1, 1, 1, 0x11, 0, 0xff, 0xda, 0xff, 0xfe]
            case .marker: ImageEndTests.endOfImage
            case .markerAndZeros: ImageEndTests.endOfImage + [0, 0, 0]
            case .markerAndText: ImageEndTests.endOfImage + Array("downloaded by hand".utf8)
            }
        }
    }

    @Test("a JPEG with all of its pixels is decoded, whatever its end", arguments: jpegs, End.allCases)
    func completeJPEG(file: String, end: End) throws {
        let bytes = try TestFixtures.bytes("images/" + file)
        try #require(bytes.suffix(2) == Self.endOfImage)
        #expect(try ImageDecoder.decode(bytes.dropLast(2) + end.bytes) == ImageDecoder.decode(bytes))
    }

    @Test(
        "a JPEG that lacks a pixel is refused, whatever its end", arguments: jpegs,
        [End.none, .zeros, .manyZeros, .fillBytes, .marker, .markerAndZeros])
    func incompleteJPEG(file: String, end: End) throws {
        let bytes = try TestFixtures.bytes("images/" + file)
        let data = try #require(scans(of: bytes).dropLast().last) + 12
        for lost in [2, 3, 20, bytes.count / 10] where bytes.count - 2 - lost > data {
            let error = #expect(throws: ImageError.self, "\(lost) bytes less") {
                try ImageDecoder.decode(bytes.dropLast(2 + lost) + end.bytes)
            }
            let hasMarker = end == .marker || end == .markerAndZeros
            #expect(error?.kind == (hasMarker ? .corrupt : .truncated), "\(lost): \(error?.message ?? "")")
        }
    }

    /// The offsets of the start-of-scan markers, and of the end-of-image marker.
    private func scans(of jpeg: [UInt8]) -> [Int] {
        (0..<jpeg.count - 1).filter { jpeg[$0] == 0xff && (jpeg[$0 + 1] == 0xda || jpeg[$0 + 1] == 0xd9) }
    }

    @Test("a progressive JPEG that ends between two scans is cut off, unless it says that it ends there")
    func missingScans() throws {
        let bytes = try TestFixtures.bytes("images/rgb-301x533-progressive.jpg")
        let scans = scans(of: bytes)
        try #require(scans.count == 11)
        for end in scans[1..<10] {
            let error = #expect(throws: ImageError.self) { try ImageDecoder.decode(Array(bytes[..<end])) }
            #expect(error?.kind == .truncated)
            #expect(try ImageDecoder.decode(bytes[..<end] + Self.endOfImage).width == 301)
        }
    }

    @Test("a JPEG whose scans leave out a colour component is damaged, since libjpeg would paint that gray")
    func missingComponent() throws {
        var bytes = try TestFixtures.bytes("images/gray-257x130.jpg")
        let frame = try #require((0..<bytes.count - 1).first { bytes[$0] == 0xff && bytes[$0 + 1] == 0xc0 })
        // Two more components in the frame header, of which the only scan says nothing.
        bytes[frame + 3] += 6
        bytes[frame + 9] = 3
        bytes.insert(contentsOf: [2, 0x11, 0, 3, 0x11, 0], at: frame + 13)
        let error = #expect(throws: ImageError.self) { try ImageDecoder.decode(bytes) }
        #expect(error?.kind == .corrupt)
        #expect(error?.message.contains("component") == true, "\(error?.message ?? "")")
        let unfinished = #expect(throws: ImageError.self) { try ImageDecoder.decode(bytes.dropLast(2)) }
        #expect(unfinished?.kind == .truncated)
    }

    @Test("a progressive JPEG that lacks a scan which a later one refines is damaged")
    func missingRefinedScan() throws {
        let bytes = try TestFixtures.bytes("images/rgb-301x533-progressive.jpg")
        let scans = scans(of: bytes)
        // Huffman tables stand between the scans; they stay.
        let next = try #require((scans[0] + 2..<bytes.count).first { bytes[$0] == 0xff && bytes[$0 + 1] != 0 })
        let error = #expect(throws: ImageError.self) {
            try ImageDecoder.decode(Array(bytes[..<scans[0]] + bytes[next...]))
        }
        #expect(error?.kind == .corrupt)
        #expect(error?.message.contains("scan") == true, "\(error?.message ?? "")")
    }

    private static let png = PNGBuilder(
        width: 2, height: 2, colorType: .gray, rows: [[1, 2], [3, 4]], after: [("tEXt", Array("Comment\0none".utf8))])
    private static let pixels: [UInt8] = [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]

    @Test("a PNG with all of its pixels is decoded, however its closing chunks end", arguments: [true, false])
    func completePNG(isInterlaced: Bool) throws {
        var png = Self.png
        var zlib = PNGBuilder.storedZlib([0, 1, 2, 0, 3, 4])
        if isInterlaced {
            png.isInterlaced = true
            zlib = PNGBuilder.storedZlib([0, 1, 0, 2, 0, 3, 4])
        }
        let file = png.file(data: zlib)
        // The comment, the closing chunk, and the checksum of the pixels.
        for lost in 1...24 + 12 + 4 {
            #expect(try ImageDecoder.decode(file.dropLast(lost)).pixels == Self.pixels, "\(lost) bytes less")
        }
        #expect(try ImageDecoder.decode(file + Array("more".utf8)).pixels == Self.pixels)
        // Damage behind the pixels, in the length, the type, the contents and the checksums of both chunks.
        for offset in file.count - 36..<file.count {
            var damaged = file
            damaged[offset] ^= 0x55
            #expect(try ImageDecoder.decode(damaged).pixels == Self.pixels, "byte \(offset)")
        }
    }

    @Test("a PNG's stream need not end with the pixels")
    func pngStream() throws {
        let whole = PNGBuilder.storedZlib([0, 1, 2, 0, 3, 4])
        // Without the checksum of the stream, and with further rows.
        #expect(try ImageDecoder.decode(Self.png.file(data: whole.dropLast(4))).pixels == Self.pixels)
        let long = PNGBuilder.storedZlib([0, 1, 2, 0, 3, 4, 0, 5, 6, 0, 7, 8])
        #expect(try ImageDecoder.decode(Self.png.file(data: long)).pixels == Self.pixels)
        let error = #expect(throws: ImageError.self) {
            try ImageDecoder.decode(Self.png.file(data: whole.dropLast(5)))
        }
        #expect(error?.kind == .corrupt)
    }

    @Test("a wrong checksum of a PNG's pixels is damage, one of metadata is passed over")
    func checksums() throws {
        let plain = PNGBuilder(
            width: 2, height: 2, colorType: .gray, rows: [[1, 2], [3, 4]],
            before: [("tEXt", Array("Comment\0none".utf8))])
        let file = plain.file
        let (comment, pixels) = (8 + 25 + 12 + 12 - 1, file.count - 12 - 1)
        var damaged = file
        damaged[comment] ^= 1
        #expect(try ImageDecoder.decode(damaged).pixels == Self.pixels)
        damaged = file
        damaged[pixels] ^= 1
        let error = #expect(throws: ImageError.self) { try ImageDecoder.decode(damaged) }
        #expect(error?.kind == .corrupt)
    }
}
