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
