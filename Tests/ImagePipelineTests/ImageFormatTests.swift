import TestFixtures
import Testing

@testable import ImagePipeline

extension ImageFormat {
    static func named(_ name: String) -> ImageFormat { ImageFormats.all.members.first { $0.name == name }! }

    static let jpeg = named("JPEG")
    static let png = named("PNG")
}

/// Keeps the promise that what the program says of image formats follows from the table of codecs.
@Suite("Image formats")
struct ImageFormatTests {
    @Test("have a name, a media type and endings, each its own, and a start that no text has, or none")
    func table() {
        let formats = ImageFormats.all.members
        #expect(formats.count >= 5)
        #expect(Set(formats.map(\.name)).count == formats.count)
        #expect(
            formats.allSatisfy {
                $0.mediaType.hasPrefix("image/") && !$0.suffixes.isEmpty && $0.start.count != 1 && $0.start.count != 2
            })
        #expect(Set(formats.flatMap(\.suffixes)).count == formats.flatMap(\.suffixes).count)
    }

    @Test("are listed for a sentence")
    func sentences() {
        #expect(ImageFormats.standard.names == "JPEG, PNG, WebP, GIF or BMP")
        #expect(ImageFormats(optionNames: ["png", "jpeg"])?.suffixes == ".jpg, .jpeg or .png")
        #expect(ImageFormats(optionNames: ["gif"])?.names == "GIF")
    }

    @Test("are chosen by their names in lower case, in any order")
    func choice() {
        #expect(ImageFormats(optionNames: ["png", "jpeg", "png"])?.description == "jpeg,png")
        #expect(
            ImageFormats(optionNames: ImageFormats.standard.description.split(separator: ",").map(String.init))
                == .standard)
        for names in [[], ["PNG"], ["png", ""], ["webm"]] { #expect(ImageFormats(optionNames: names) == nil) }
    }

    @Test(
        "that are left out are named, and their decoders don't see the bytes",
        arguments: ["palette.gif", "rgb.bmp", "lossy.webp"])
    func leftOut(file: String) throws {
        let bytes = try TestFixtures.bytes("images/formats/" + file)
        let formats = try #require(ImageFormats(optionNames: ["jpeg", "png"]))
        let error = #expect(throws: ImageError.self) {
            try ImageDecoder.decode(bytes, limits: ImageLimits(formats: formats))
        }
        #expect(error?.kind == .unrecognised)
        let name = try ImageDecoder.probe(bytes).format.name
        #expect(error?.message == "this is a \(name) image; send JPEG or PNG")
    }

    @Test("name the libraries that decode them")
    func libraries() {
        for format in ImageFormats.all.members where format.unavailability == nil {
            guard let library = format.library else {
                #expect(["GIF", "BMP"].contains(format.name))
                continue
            }
            #expect(library.name.hasPrefix("lib") && library.version.contains(/^[0-9]+(\.[0-9]+)+/), "\(library)")
        }
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
            ("a.jpgx", false), ("", false), ("a.gif", true), ("a.WebP", true), ("a.bmp", true), ("a.tga", false),
        ])
    func names(name: String, isImage: Bool) {
        #expect(ImageFormats.standard.isImageName(Array(name.utf8)) == isImage)
    }
}
