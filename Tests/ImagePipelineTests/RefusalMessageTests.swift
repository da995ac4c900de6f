import TestFixtures
import Testing

@testable import ImagePipeline

/// Keeps the promise that those who send an image learn the same of every format: a size with the limit that it exceeds, and the place
/// where a file ends or is damaged.
@Suite("Every format is refused in the same words")
struct RefusalMessageTests {
    /// A file of a format, and what makes it larger than the limits and damages it.
    struct Sample: Sendable, CustomTestStringConvertible {
        let format, file: String
        /// The size that `enlarge` writes; as large as it may be where the format has few bits for it.
        let side: UInt32
        let enlarge: @Sendable (inout [UInt8]) -> Void
        /// By default, every bit of some bytes behind the middle is another.
        var damage: @Sendable (inout [UInt8]) -> Void = { bytes in
            for place in 0..<24 { bytes[bytes.count * 2 / 3 + place] ^= 0xff }
        }

        var testDescription: String { format }
    }

    private static let samples: [Sample] = [
        Sample(format: "JPEG", file: "rgb-32x32.jpg", side: 60_000) { bytes in
            put(60_000, size: 2, at: place(of: [0xff, 0xc0], in: bytes) + 5, of: &bytes)
        },
        Sample(format: "JPEG", file: "rgb-32x32.jpg", side: 65_535) { bytes in
            put(65_535, size: 2, at: place(of: [0xff, 0xc0], in: bytes) + 5, of: &bytes)
        },
        Sample(format: "PNG", file: "rgb-120x80.png", side: 60_000) { bytes in
            bytes = PNGBuilder(width: 60_000, height: 60_000, colorType: .rgb, rows: []).file
        },
        Sample(format: "WebP", file: "formats/lossless.webp", side: 16_384) { bytes in
            bytes.replaceSubrange(21..<25, with: [0xff, 0xff, 0xff, 0x0f])
        },
        Sample(format: "GIF", file: "formats/palette.gif", side: 65_535) { bytes in
            put(65_535, size: 2, isLittleEndian: true, at: 6, of: &bytes)
        },
        Sample(format: "BMP", file: "formats/run-lengths-8.bmp", side: 60_000) { bytes in
            put(60_000, size: 4, isLittleEndian: true, at: 18, of: &bytes)
        } damage: { bytes in
            // The code that ends the picture, before its first pixel.
            let start = Int(bytes[10]) | Int(bytes[11]) << 8
            bytes.replaceSubrange(start..<start + 2, with: [0, 1])
        },
        tiff(60_000), tiff(1 << 31), tiff(.max),
        container("HEIC", "on-demand/half-chroma.heic", 60_000), container("HEIC", "on-demand/half-chroma.heic", .max),
        container("AVIF", "on-demand/half-chroma.avif", 60_000), container("AVIF", "on-demand/half-chroma.avif", .max),
    ].filter { sample in ImageFormats.all.members.contains { $0.name == sample.format && $0.unavailability == nil } }

    private static func tiff(_ side: UInt32) -> Sample {
        Sample(format: "TIFF", file: "on-demand/lzw.tif", side: side) { bytes in
            // The first two entries of the directory, with values of type LONG.
            let directory = Int(bytes[4]) | Int(bytes[5]) << 8
            for entry in [directory + 2, directory + 14] {
                bytes[entry + 2] = 4
                put(side, count: 1, size: 4, isLittleEndian: true, at: entry + 8, of: &bytes)
            }
        }
    }

    private static func container(_ format: String, _ file: String, _ side: UInt32) -> Sample {
        Sample(format: format, file: file, side: side) { bytes in
            put(side, size: 4, at: place(of: Array("ispe".utf8), in: bytes) + 8, of: &bytes)
        } damage: { bytes in
            // The length of the first unit.
            let data = place(of: Array("mdat".utf8), in: bytes) + 4
            for place in data..<data + 4 { bytes[place] = 0xff }
        }
    }

    private static func place(of part: [UInt8], in bytes: [UInt8]) -> Int {
        (0...bytes.count - part.count).first { Array(bytes[$0..<$0 + part.count]) == part }!
    }

    /// Writes a number, by default twice in a row, as width and height are.
    private static func put(
        _ value: UInt32, count: Int = 2, size: Int, isLittleEndian: Bool = false, at place: Int, of bytes: inout [UInt8]
    ) {
        let number = PNGBuilder.bigEndian(value).suffix(size)
        for copy in 0..<count {
            let start = place + copy * size
            bytes.replaceSubrange(start..<start + size, with: isLittleEndian ? Array(number.reversed()) : Array(number))
        }
    }

    private func error(of bytes: [UInt8]) -> ImageError? {
        #expect(throws: ImageError.self) { try ImageDecoder.decode(bytes, limits: ImageLimits(formats: .all)) }
    }

    @Test("too large: its size and this service's limit", arguments: samples)
    func tooLarge(sample: Sample) throws {
        var bytes = try TestFixtures.bytes("images/" + sample.file)
        sample.enlarge(&bytes)
        let error = error(of: bytes)
        #expect(error?.kind == .tooLarge)
        let size = "\(sample.side)x\(sample.side)"
        #expect(
            error?.message == "the image is \(size) pixels, more than the 64000000 allowed; scale it down first")
    }

    @Test("cut off: where the file ends", arguments: samples, [1, 2, 3])
    func cutOff(sample: Sample, quarters: Int) throws {
        let bytes = try TestFixtures.bytes("images/" + sample.file)
        let length = bytes.count * quarters / 4
        let error = error(of: Array(bytes[..<length]))
        #expect(error?.kind == .truncated)
        let start = "the image is cut off (at byte \(length) of \(length): the file ends "
        #expect(error?.message.hasPrefix(start) == true, "\(error?.message ?? "")")
    }

    @Test("damaged: where the damage is", arguments: samples)
    func damaged(sample: Sample) throws {
        var bytes = try TestFixtures.bytes("images/" + sample.file)
        sample.damage(&bytes)
        let error = error(of: bytes)
        #expect(error?.kind == .corrupt)
        let message = error?.message ?? ""
        #expect(
            message.hasPrefix("the image is damaged (at byte ") && message.hasSuffix("; encode it again"), "\(message)")
        #expect(!message.contains("at byte 0 "), "\(message)")
    }
}
