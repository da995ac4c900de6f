import TestFixtures
import Testing

@testable import ImagePipeline

/// Keeps the promise that a file of several pictures stands for its first one, whatever they are for.
@Suite("Files of several pictures")
struct SeveralPicturesTests {
    typealias Chunk = (type: String, data: [UInt8])

    private static func control(frames: UInt32) -> Chunk {
        ("acTL", PNGBuilder.bigEndian(frames) + PNGBuilder.bigEndian(0))
    }

    private static func frame(_ number: UInt32) -> Chunk {
        let sizes = [number, 1, 1, 0, 0].flatMap(PNGBuilder.bigEndian)
        return ("fcTL", sizes + [0, 1, 0, 10, 0, 0])
    }

    private static func pixels(_ number: UInt32, _ value: UInt8) -> Chunk {
        ("fdAT", PNGBuilder.bigEndian(number) + PNGBuilder.storedZlib([0, value]))
    }

    /// Chunks before and after the pixels of an animation, and such that look like one.
    enum Animation: CaseIterable {
        case pixelsAreTheFirstFrame, pixelsAreNoFrame, oneFrame, announcedWithoutFrames, announcedAfterPixels
        case announcedTwice, endless

        var chunks: (before: [Chunk], after: [Chunk]) {
            switch self {
            case .pixelsAreTheFirstFrame:
                ([control(frames: 2), frame(0)], [frame(1), SeveralPicturesTests.pixels(2, 9)])
            case .pixelsAreNoFrame: ([control(frames: 1)], [frame(0), SeveralPicturesTests.pixels(1, 9)])
            case .oneFrame: ([control(frames: 1), frame(0)], [])
            case .announcedWithoutFrames: ([control(frames: 3)], [])
            case .announcedAfterPixels: ([], [control(frames: 3)])
            case .announcedTwice: ([control(frames: 2), control(frames: 2), frame(0)], [])
            case .endless: ([control(frames: .max), frame(0)], [])
            }
        }
    }

    @Test("an animated PNG is the picture of its IDAT chunks", arguments: Animation.allCases)
    func animatedPNG(animation: Animation) throws {
        let (before, after) = animation.chunks
        let png = PNGBuilder(width: 1, height: 1, colorType: .gray, rows: [[7]], before: before, after: after)
        #expect(try ImageDecoder.decode(png.file).pixels == [7, 7, 7])
    }

    @Test(
        "metadata behind the second picture's description says nothing of the first one",
        arguments: [
            (.pixelsAreTheFirstFrame, .topLeft), (.pixelsAreNoFrame, .topLeft), (.oneFrame, .rightTop),
            (.announcedAfterPixels, .rightTop), (.announcedTwice, .rightTop),
        ] as [(Animation, Orientation)])
    func metadata(animation: Animation, expected: Orientation) throws {
        let (before, after) = animation.chunks
        let exif = (type: "eXIf", data: PNGBuilder.exif(orientation: 6))
        let late = PNGBuilder(
            width: 1, height: 1, colorType: .gray, rows: [[7]], before: before,
            after: (after.isEmpty ? [Self.frame(1)] : after) + [exif])
        #expect(try ImageDecoder.probe(late.file).orientation == expected)
        let early = PNGBuilder(
            width: 1, height: 1, colorType: .gray, rows: [[7]], before: before, after: [exif] + after)
        #expect(try ImageDecoder.probe(early.file).orientation == .rightTop)
    }

    @Test("JPEGs one after the other are the first of them")
    func concatenatedJPEGs() throws {
        let first = try TestFixtures.bytes("images/rgb-32x32.jpg")
        let both = try first + TestFixtures.bytes("images/gray-257x130.jpg")
        #expect(try ImageDecoder.decode(both) == ImageDecoder.decode(first))
    }
}
