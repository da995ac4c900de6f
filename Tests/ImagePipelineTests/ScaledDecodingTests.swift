import CImageCodecs
import TestFixtures
import Testing

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
