import TestFixtures
import Testing

@testable import ImagePipeline

@Suite("Pictures of states")
struct PNGEncoderTests {
    @Test("A picture encoded as PNG decodes to itself", arguments: [(1, 1), (16, 16), (7, 33), (128, 128)])
    func roundTrip(width: Int, height: Int) throws {
        var generator = SeededGenerator(seed: UInt64(width))
        let pixels = (0..<width * height * 3).map { _ in UInt8.random(in: 0...255, using: &generator) }
        let image = RGBImage(width: width, height: height, pixels: pixels)
        #expect(try ImageDecoder.decode(try image.png()) == image)
    }

    @Test(
        "A picture encoded as JPEG at full quality decodes to nearly itself",
        arguments: [(1, 1), (16, 16), (7, 33), (130, 5)])
    func jpegRoundTrip(width: Int, height: Int) throws {
        // Without edges in colour, which halving the resolution of chroma would blur.
        let pixels = (0..<width * height).flatMap { [UInt8](repeating: UInt8($0 * 37 % 256), count: 3) }
        let image = RGBImage(width: width, height: height, pixels: pixels)
        let decoded = try ImageDecoder.decode(try image.jpeg(quality: 100))
        #expect(decoded.width == width && decoded.height == height)
        #expect(zip(decoded.pixels, pixels).allSatisfy { abs(Int($0) - Int($1)) <= 2 })
        #expect(try image.jpeg(quality: 1).count <= image.jpeg(quality: 100).count)
    }

    @Test("A picture too long for JPEG is refused, and noise at full quality fits its bound")
    func jpegBounds() throws {
        let long = RGBImage(width: 65_501, height: 1, pixels: [UInt8](repeating: 0, count: 3 * 65_501))
        #expect(throws: ImageError.self) { try long.jpeg(quality: 50) }
        var generator = SeededGenerator(seed: 1)
        for side in [1, 8, 17, 64] {
            let pixels = (0..<side * side * 3).map { _ in generator.next() % 2 == 0 ? 0 : 255 as UInt8 }
            #expect(try !RGBImage(width: side, height: side, pixels: pixels).jpeg(quality: 100).isEmpty)
        }
    }

    @Test("A normalised input is shown as the very picture it was made from; what no picture can hold is clamped")
    func pictures() throws {
        let preprocessing = try Preprocessing(
            resizeShorterSide: 16, cropSize: 16, mean: [0.485, 0.456, 0.406], standardDeviation: [0.229, 0.224, 0.225])
        let pixels = (0..<768).map { UInt8($0 % 256) }
        let image = RGBImage(width: 16, height: 16, pixels: pixels)
        #expect(preprocessing.picture(of: preprocessing.input(for: image)) == image)
        for (value, level) in [
            (Float.infinity, UInt8(255)), (1e30, 255), (-.infinity, 0), (.nan, 0), (-1e30, 0),
        ] {
            #expect(Set(preprocessing.picture(of: [Float](repeating: value, count: 768)).pixels) == [level])
        }
    }
}
