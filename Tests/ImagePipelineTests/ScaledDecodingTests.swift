import CImageCodecs
import TestFixtures
import Testing

@testable import ImagePipeline

/// Keeps the promise that a JPEG can be decoded at a fraction of its size, as Pillow's `draft` does it.
@Suite("Decoding at a fraction of the size")
struct ScaledDecodingTests {
    private func decode(_ file: String, denominator: UInt32, width: Int, height: Int) throws -> [UInt8]? {
        let bytes = try TestFixtures.bytes("images/" + file)
        var pixels = [UInt8](repeating: 0, count: width * height * 3)
        var failure = ImageCodecFailure()
        let status = image_codec_decode(
            bytes, bytes.count, denominator, UInt32(width), UInt32(height), &pixels, &failure)
        return status == .OK ? pixels : nil
    }

    @Test("an eighth is bit for bit Pillow's")
    func eighth() throws {
        #expect(
            try decode("rgb-32x32.jpg", denominator: 8, width: 4, height: 4) == [
                154, 205, 149, 194, 208, 155, 92, 91, 193, 139, 123, 198, 175, 189, 153, 203, 198, 179, 95, 95, 191,
                135, 137, 198, 187, 150, 168, 210, 166, 191, 220, 188, 173, 205, 196, 191, 194, 96, 197, 219, 125, 178,
                215, 143, 181, 194, 157, 174,
            ])
    }

    @Test("sizes round up", arguments: [(2, 129, 65, 3_136_008), (4, 65, 33, 801_393), (8, 33, 17, 209_268)])
    func ragged(denominator: Int, width: Int, height: Int, pillowSum: Int) throws {
        let pixels = try decode("gray-257x130.jpg", denominator: UInt32(denominator), width: width, height: height)
        #expect(pixels?.reduce(0) { $0 + Int($1) } == pillowSum)
    }

    @Test("a buffer of another size is refused, and so is a fraction of a PNG")
    func refused() throws {
        #expect(try decode("gray-257x130.jpg", denominator: 2, width: 128, height: 65) == nil)
        #expect(try decode("rgb-32x32.jpg", denominator: 1, width: 31, height: 32) == nil)
        #expect(try decode("gray-77x55.png", denominator: 2, width: 39, height: 28) == nil)
        #expect(try decode("gray-77x55.png", denominator: 1, width: 55, height: 77) == nil)
    }
}

/// Keeps the promise that only large JPEGs are decoded at a fraction of their size, and never at too small a one.
@Suite("Decoding modes")
struct DecodingModeTests {
    private static let large = "large-2501x1999.jpg"

    private func header(_ width: Int, _ height: Int, _ format: ImageFormat = .jpeg) -> ImageHeader {
        ImageHeader(format: format, width: width, height: height, channels: 3, orientation: .topLeft)
    }

    private func preprocessing(_ shorterSide: Int, crop: Int) throws -> Preprocessing {
        try Preprocessing(
            resizeShorterSide: shorterSide, cropSize: crop, mean: [0, 0, 0], standardDeviation: [1, 1, 1])
    }

    @Test(
        "the smallest fraction that leaves four times the size wanted, above 4 megapixels",
        arguments: [
            (4000, 3000, 32, 8), (3000, 4000, 32, 8), (4000, 3000, 93, 8), (4000, 3000, 94, 4), (4000, 3000, 187, 4),
            (4000, 3000, 188, 2), (4000, 3000, 375, 2), (4000, 3000, 376, 1), (4000, 3000, 4096, 1),
            (2000, 2000, 32, 1), (4_000_000, 1, 1, 1), (2001, 2000, 32, 8), (31_250, 129, 32, 1), (31_250, 256, 32, 2),
            (31_250, 1024, 32, 8), (65_500, 65_500, 1, 8),
        ])
    func fraction(width: Int, height: Int, shorterSide: Int, denominator: Int) {
        let header = header(width, height)
        #expect(DecodingMode.scaled.denominator(for: header, shorterSide: shorterSide) == denominator)
        #expect(DecodingMode.exact.denominator(for: header, shorterSide: shorterSide) == 1)
        #expect(DecodingMode.scaled.denominator(for: self.header(width, height, .png), shorterSide: shorterSide) == 1)
        #expect(min(width, height) / denominator >= 4 * shorterSide || denominator == 1)
    }

    @Test("what is decoded has the size decided, and limits apply to the stored size")
    func sizes() throws {
        let bytes = try TestFixtures.bytes("images/" + Self.large)
        for (denominator, width, height) in [(1, 2501, 1999), (2, 1251, 1000), (4, 626, 500), (8, 313, 250)] {
            let stored = try ImageDecoder.decodeStored(bytes, limits: ImageLimits()) { header in
                #expect(header.width == 2501 && header.height == 1999)
                return denominator
            }
            #expect(stored.image.width == width && stored.image.height == height)
        }
        let pixels = 2501 * 1999
        let preprocessing = try preprocessing(32, crop: 32)
        #expect(throws: ImageError.self) {
            try preprocessing.croppedImage(for: bytes, limits: ImageLimits(maximumPixels: pixels - 1))
        }
        _ = try preprocessing.croppedImage(for: bytes, limits: ImageLimits(maximumPixels: pixels))
    }

    @Test(
        "scaled, a large photograph is bit for bit what Pillow's draft mode gives",
        arguments: [(32, 32), (73, 64), (128, 128), (256, 256)])
    func golden(shorterSide: Int, crop: Int) throws {
        let found = try preprocessing(shorterSide, crop: crop).croppedImage(
            for: TestFixtures.bytes("images/" + Self.large))
        #expect(found.pixels == GoldenImages.scaled[Self.large, "resize\(shorterSide)_crop\(crop)"].values)
    }

    @Test("so it is in every EXIF orientation", arguments: Orientation.allCases.dropFirst())
    func orientations(_ orientation: Orientation) throws {
        let plain = try TestFixtures.bytes("images/" + Self.large)
        let exif = Array("Exif\0\0".utf8) + PNGBuilder.exif(orientation: UInt8(orientation.rawValue))
        let bytes = plain[..<2] + [0xff, 0xe1, 0, UInt8(exif.count + 2)] + exif + plain[2...]
        let found = try preprocessing(32, crop: 32).croppedImage(for: Array(bytes))
        let kind = "resize32_crop32_orientation\(orientation.rawValue)"
        #expect(found.pixels == GoldenImages.scaled[Self.large, kind].values)
    }

    @Test("scaled and exact differ by little, and not at all where no fraction is large enough")
    func closeness() throws {
        let bytes = try TestFixtures.bytes("images/" + Self.large)
        for side in [32, 64, 128] {
            let preprocessing = try preprocessing(side, crop: side)
            let scaled = try preprocessing.croppedImage(for: bytes).pixels
            let exact = try preprocessing.croppedImage(for: bytes, decoding: .exact).pixels
            let differences = zip(scaled, exact).map { abs(Int($0) - Int($1)) }
            #expect(scaled != exact && differences.max()! <= 8, "\(differences.max()!) at \(side)")
            #expect(differences.reduce(0, +) < differences.count, "\(differences.reduce(0, +)) at \(side)")
        }
        let large = try preprocessing(256, crop: 256)
        #expect(
            try large.croppedImage(for: bytes)
                == large.croppedImage(for: ImageDecoder.decode(bytes)))
    }

    @Test("damage in a large photograph is found at any fraction")
    func damage() throws {
        let bytes = try TestFixtures.bytes("images/" + Self.large)
        let preprocessing = try preprocessing(32, crop: 32)
        for length in [bytes.count / 2, bytes.count * 9 / 10] {
            #expect(throws: ImageError.self) { try preprocessing.croppedImage(for: Array(bytes[..<length])) }
        }
    }
}
