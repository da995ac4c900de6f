import TestFixtures
import Testing

@testable import ImagePipeline

/// Keeps the promise that the network's input is what torchvision's evaluation transform gives.
@Suite("From image to network input")
struct PreprocessingTests {
    static let mean: [Float] = [0.485, 0.456, 0.406]
    static let deviation: [Float] = [0.229, 0.224, 0.225]

    /// A picture whose pixels all differ from their neighbours.
    static func gradient(width: Int, height: Int) -> RGBImage {
        RGBImage(
            width: width, height: height,
            pixels: (0..<width * height * 3).map { UInt8(truncatingIfNeeded: $0 * 37 + $0 / 11) })
    }

    private static func pixels(of image: RGBImage, columns: Range<Int>, rows: Range<Int>) -> [UInt8] {
        rows.flatMap { row -> ArraySlice<UInt8> in
            let start = row * image.width
            return image.pixels[(start + columns.lowerBound) * 3..<(start + columns.upperBound) * 3]
        }
    }

    @Test("channels are planar and normalised in 32-bit floats")
    func normalisation() throws {
        let preprocessing = try Preprocessing(
            resizeShorterSide: 2, cropSize: 2, mean: Self.mean, standardDeviation: Self.deviation)
        let pixels: [UInt8] = [0, 1, 2, 3, 4, 5, 253, 254, 255, 100, 150, 200]
        let input = preprocessing.input(for: RGBImage(width: 2, height: 2, pixels: pixels))
        let expected = (0..<3).flatMap { channel in
            (0..<4).map { pixel -> Float in
                let value = Float(pixels[pixel * 3 + channel]) / 255
                return (value - Self.mean[channel]) / Self.deviation[channel]
            }
        }
        #expect(input == expected)
    }

    @Test("encoded and decoded images give the same input")
    func encodedAndDecoded() throws {
        let preprocessing = try Preprocessing(
            resizeShorterSide: 36, cropSize: 32, mean: Self.mean, standardDeviation: Self.deviation)
        let bytes = try TestFixtures.bytes("images/exif-orientation-7-90x60.jpg")
        let input = try preprocessing.input(for: bytes)
        #expect(input == preprocessing.input(for: try ImageDecoder.decode(bytes)))
        #expect(input.count == 3 * 32 * 32)
    }

    /// torchvision takes int(round(margin / 2)), and Python rounds 0.5 to 0, 1.5 to 2, 2.5 to 2.
    @Test(
        "a half pixel of margin goes to the even side",
        arguments: [(4, 0), (5, 0), (6, 1), (7, 2), (8, 2), (9, 2), (11, 4)])
    func cropOffset(width: Int, offset: Int) throws {
        let preprocessing = try Preprocessing(
            resizeShorterSide: 4, cropSize: 4, mean: [0, 0, 0], standardDeviation: [1, 1, 1])
        let image = Self.gradient(width: width, height: 4)
        let expected = Self.pixels(of: image, columns: offset..<offset + 4, rows: 0..<4)
        #expect(preprocessing.croppedImage(for: image).pixels == expected)
    }

    @Test("the crop is the same as cropping the whole resized image")
    func cropOfWhole() throws {
        let preprocessing = try Preprocessing(
            resizeShorterSide: 20, cropSize: 16, mean: [0, 0, 0], standardDeviation: [1, 1, 1])
        let image = Self.gradient(width: 61, height: 47)
        let whole = image.resized(width: 20 * 61 / 47, height: 20)
        let cropped = Self.pixels(of: whole, columns: 4..<20, rows: 2..<18)
        #expect(preprocessing.croppedImage(for: image).pixels == cropped)
    }

    @Test(
        "columns are resampled first where the height shrinks by more than twice what the width does, as in Pillow 13",
        arguments: [
            ((64, 160), (32, 80), .columnsFirst), ((64, 128), (32, 64), .rowsFirst),
            ((64, 129), (32, 64), .columnsFirst),
            ((160, 64), (80, 32), .rowsFirst), ((30, 10), (60, 9), .columnsFirst), ((30, 10), (29, 10), .rowsFirst),
            ((10, 10), (10, 9), .columnsFirst), ((10, 10), (20, 11), .rowsFirst),
        ] as [((Int, Int), (Int, Int), ResamplingOrder)])
    func order(source: (width: Int, height: Int), size: (width: Int, height: Int), expected: ResamplingOrder) {
        #expect(ResamplingOrder(from: source, to: size) == expected)
    }

    @Test("resized bit for bit as by Pillow, in either order of the axes", arguments: ResizedPicture.all)
    func resized(golden: ResizedPicture) {
        let original = golden.original
        for filter in [(ResamplingFilter.box, "box"), (.bicubic, "bicubic")] {
            let expected = golden.image(filter.1)
            #expect(original.resized(width: expected.width, height: expected.height, filter: filter.0) == expected)
        }
        // Turned by the file, the picture is the same with either axis stored first.
        let expected = golden.image("bicubic")
        for orientation in Orientation.allCases {
            let inverse: Orientation =
                orientation == .rightTop ? .leftBottom : orientation == .leftBottom ? .rightTop : orientation
            let stored = original.oriented(inverse)
            let size = (Double(stored.width), Double(stored.height))
            let found = stored.resized(
                size, to: (expected.width, expected.height), keeping: (0..<expected.width, 0..<expected.height),
                orientation: orientation)
            #expect(found == expected)
        }
    }

    @Test("parameters that can't work are refused", arguments: [(0, 0), (31, 32), (32, 0), (-1, -1), (5000, 32)])
    func refusedSizes(shorterSide: Int, crop: Int) {
        #expect(throws: Preprocessing.InvalidParameters.self) {
            try Preprocessing(
                resizeShorterSide: shorterSide, cropSize: crop, mean: Self.mean, standardDeviation: Self.deviation)
        }
    }

    @Test(
        "normalisations that would not give numbers are refused",
        arguments: [
            ([0, 0], [1, 1, 1]), ([0, 0, .nan], [1, 1, 1]), ([0, 0, 0], [1, 1, 0]), ([0, 0, 0], [1, 1]),
            ([0, 0, 0], [1, 1, .infinity]),
        ] as [([Float], [Float])])
    func refusedNormalisation(mean: [Float], deviation: [Float]) {
        #expect(throws: Preprocessing.InvalidParameters.self) {
            try Preprocessing(resizeShorterSide: 32, cropSize: 32, mean: mean, standardDeviation: deviation)
        }
    }
}

/// A picture and what Pillow 13.0 makes of it; see `Fixtures/images/make_resized.py`.
struct ResizedPicture: CustomTestStringConvertible {
    private static let tensors = try! FixtureTensors("images/resized.safetensors")
    static let all = Set(tensors.names.map { String($0.split(separator: "/")[0]) }).sorted().map(ResizedPicture.init)

    let testDescription: String

    private init(name: String) { testDescription = name }

    var original: RGBImage { image("original") }

    /// - Parameter kind: `original`, or a filter.
    func image(_ kind: String) -> RGBImage {
        let tensor = Self.tensors.bytes(testDescription + "/" + kind)
        return RGBImage(width: tensor.shape[1], height: tensor.shape[0], pixels: tensor.values)
    }
}

/// Keeps the promise that an image is seen as its EXIF orientation wants it.
@Suite("EXIF orientation")
struct OrientationTests {
    /// The letters a b c / d e f, turned; the expectations are Pillow's `exif_transpose`.
    @Test(
        "turns and mirrors",
        arguments: zip(
            Orientation.allCases,
            ["abcdef", "cbafed", "fedcba", "defabc", "adbecf", "daebfc", "fcebda", "cfbead"]))
    func turned(orientation: Orientation, expected: String) {
        let image = RGBImage(width: 3, height: 2, pixels: "abcdef".utf8.flatMap { [$0, 0, 255 - $0] })
        let shown = image.oriented(orientation)
        #expect(shown.pixels == expected.utf8.flatMap { [$0, 0, 255 - $0] })
        #expect(shown.width == (orientation.isTransposed ? 2 : 3))
    }

    @Test("resizing a stored image gives what turning it first gives", arguments: Orientation.allCases)
    func resizedUnturned(orientation: Orientation) {
        let stored = PreprocessingTests.gradient(width: 83, height: 59)
        let size = orientation.isTransposed ? (width: 30, height: 42) : (width: 42, height: 30)
        let turnedFirst = stored.oriented(orientation).resized(
            orientation.isTransposed ? (59, 83) : (83, 59), to: size, keeping: (3..<29, 5..<28),
            orientation: .topLeft)
        #expect(stored.resized((83, 59), to: size, keeping: (3..<29, 5..<28), orientation: orientation) == turnedFirst)
    }

    @Test("tiles and ragged edges of a large image are all turned", arguments: Orientation.allCases)
    func large(orientation: Orientation) {
        let image = PreprocessingTests.gradient(width: 101, height: 67)
        let inverse: Orientation =
            switch orientation {
            case .rightTop: .leftBottom
            case .leftBottom: .rightTop
            default: orientation
            }
        #expect(image.oriented(orientation).oriented(inverse) == image)
    }
}
