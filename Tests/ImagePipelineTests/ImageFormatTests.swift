import TestFixtures
import Testing

@testable import ImagePipeline

extension ImageFormat {
    static let jpeg = all.first { $0.name == "JPEG" }!
    static let png = all.first { $0.name == "PNG" }!
}

/// Keeps the promise that what the program says of image formats follows from the table of codecs.
@Suite("Image formats")
struct ImageFormatTests {
    @Test("have a name, a media type, endings and a start, each its own")
    func table() {
        let formats = ImageFormat.all
        #expect(formats.count >= 2)
        #expect(Set(formats.map(\.name)).count == formats.count)
        #expect(formats.allSatisfy { $0.mediaType.hasPrefix("image/") && !$0.suffixes.isEmpty && $0.start.count >= 3 })
        #expect(Set(formats.flatMap(\.suffixes)).count == formats.flatMap(\.suffixes).count)
    }

    @Test("are listed for a sentence")
    func sentences() {
        #expect(ImageFormat.names == "JPEG or PNG")
        #expect(ImageFormat.suffixes == ".jpg, .jpeg or .png")
    }

    @Test("are recognised by their bytes, whatever a file is called")
    func recognition() throws {
        let image = RGBImage(width: 2, height: 1, pixels: [1, 2, 3, 4, 5, 6])
        #expect(try ImageDecoder.probe(image.png()).format == .png)
        #expect(try ImageDecoder.probe(image.jpeg(quality: 90)).format == .jpeg)
    }

    @Test(
        "are expected behind the usual endings of names, in any case",
        arguments: [
            ("a.jpg", true), ("a.JPEG", true), ("a.Png", true), (".png", true), ("png", false), ("a.png ", false),
            ("a.jpgx", false), ("", false),
        ])
    func names(name: String, isImage: Bool) {
        #expect(ImageFormat.isImageName(Array(name.utf8)) == isImage)
    }
}
