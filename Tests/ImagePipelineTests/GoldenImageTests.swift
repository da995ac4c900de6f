import TestFixtures
import Testing

@testable import ImagePipeline

/// Keeps the promise that decoding and resizing are bit-exact with Pillow.
@Suite("Images come out bit for bit as from Pillow")
struct GoldenImageTests {
    /// The 222:1 strip is beyond the default limit, which is not what is tested here.
    static let limits = ImageLimits(maximumAspectRatio: 1000)

    @Test("decoded", arguments: GoldenImages.shared.files(with: "decoded"))
    func decoded(file: String) throws {
        let image = try ImageDecoder.decode(TestFixtures.bytes("images/" + file), limits: Self.limits)
        expectEqual(image, GoldenImages.shared[file, "decoded"])
    }

    @Test("decoded from further formats", arguments: GoldenImages.formats.files(with: "decoded"))
    func decodedFormats(file: String) throws {
        let image = try ImageDecoder.decode(TestFixtures.bytes("images/" + file))
        expectEqual(image, GoldenImages.formats[file, "decoded"])
    }

    @Test("resized to 32 and cropped to 32", arguments: GoldenImages.shared.files(with: "resize32_crop32"))
    func resize32(file: String) throws {
        try expectCrop(of: file, shorterSide: 32, crop: 32, equals: "resize32_crop32")
    }

    @Test("resized to 73 and cropped to 64", arguments: GoldenImages.shared.files(with: "resize73_crop64"))
    func resize73(file: String) throws {
        try expectCrop(of: file, shorterSide: 73, crop: 64, equals: "resize73_crop64")
    }

    @Test("every golden image is tested in every way that it has an expectation for")
    func completeness() {
        #expect(GoldenImages.shared.files(with: "decoded").count == 17)
        #expect(GoldenImages.formats.files(with: "decoded").count == 27)
        #expect(GoldenImages.shared.files(with: "resize32_crop32").count == 19)
        #expect(GoldenImages.shared.files(with: "resize73_crop64").count == 19)
    }

    private func expectCrop(of file: String, shorterSide: Int, crop: Int, equals kind: String) throws {
        let preprocessing = try Preprocessing(
            resizeShorterSide: shorterSide, cropSize: crop, mean: [0, 0, 0], standardDeviation: [1, 1, 1])
        let bytes = try TestFixtures.bytes("images/" + file)
        let expected = GoldenImages.shared[file, kind]
        expectEqual(try preprocessing.croppedImage(for: bytes, limits: Self.limits), expected)
        let decoded = try ImageDecoder.decode(bytes, limits: Self.limits)
        expectEqual(preprocessing.croppedImage(for: decoded), expected, "decoded and turned first")
    }

    private func expectEqual(_ image: RGBImage, _ expected: FixtureTensors.Bytes, _ note: Comment? = nil) {
        #expect([image.height, image.width, 3] == expected.shape, note)
        let differing = zip(image.pixels, expected.values).count { $0 != $1 }
        #expect(differing == 0, note)
    }
}
