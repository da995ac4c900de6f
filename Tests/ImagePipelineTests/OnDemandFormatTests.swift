import TestFixtures
import Testing

@testable import ImagePipeline

extension GoldenImages {
    /// Of files in `images/on-demand`.
    static let onDemand = try! GoldenImages("images/on-demand.safetensors")

    /// Those of them whose formats can be decoded here.
    static func onDemand(endingIn suffixes: String...) -> [String] {
        onDemand.files(with: "decoded").filter { file in
            suffixes.contains { file.hasSuffix($0) }
                && ImageFormats.all.members.contains { format in
                    format.unavailability == nil && format.suffixes.contains { file.hasSuffix($0) }
                }
        }
    }
}

/// Keeps the promise that formats on demand are decoded only if asked for, TIFF bit for bit as Pillow decodes it, HEIC and AVIF within
/// the levels that docs/api.md states.
@Suite("Formats on demand")
struct OnDemandFormatTests {
    private static let limits = ImageLimits(formats: .all)

    @Test("aren't decoded unless they are asked for", arguments: GoldenImages.onDemand.files(with: "decoded"))
    func refusal(file: String) throws {
        let error = #expect(throws: ImageError.self) { try ImageDecoder.decode(TestFixtures.bytes("images/" + file)) }
        #expect(error?.kind == .unrecognised)
        #expect(error?.message.contains("; send JPEG, PNG, WebP, GIF or BMP") == true, "\(error?.message ?? "")")
    }

    @Test("a TIFF comes out bit for bit as from Pillow", arguments: GoldenImages.onDemand(endingIn: ".tif"))
    func tiff(file: String) throws {
        let image = try ImageDecoder.decode(TestFixtures.bytes("images/" + file), limits: Self.limits)
        let expected = GoldenImages.onDemand[file, "decoded"]
        #expect([image.height, image.width, 3] == expected.shape)
        #expect(zip(image.pixels, expected.values).count { $0 != $1 } == 0)
    }

    @Test(
        "HEIC and AVIF come out within some levels of Pillow's",
        arguments: GoldenImages.onDemand(endingIn: ".heic", ".avif"))
    func levels(file: String) throws {
        let image = try ImageDecoder.decode(TestFixtures.bytes("images/" + file), limits: Self.limits)
        let expected = GoldenImages.onDemand[file, "decoded"]
        #expect([image.height, image.width, 3] == expected.shape)
        let distances = zip(image.pixels, expected.values).map { abs(Int($0) - Int($1)) }
        let mean = Double(distances.reduce(0, +)) / Double(distances.count)
        if file.contains("half-chroma") { #expect(mean < 4) } else { #expect(distances.max()! <= 1) }
    }

    @Test("every truncation that loses a pixel is an error", arguments: GoldenImages.onDemand(endingIn: ".tif"))
    func truncated(file: String) throws {
        let bytes = try TestFixtures.bytes("images/" + file)
        let whole = try ImageDecoder.decode(bytes, limits: Self.limits)
        for length in stride(from: 0, to: bytes.count, by: 7) {
            do throws(ImageError) {
                #expect(try ImageDecoder.decode(Array(bytes[..<length]), limits: Self.limits) == whole)
            } catch {
                #expect(!error.message.isEmpty)
            }
        }
    }

    @Test(
        "a HEIC or AVIF that is cut off is an error or the same picture",
        arguments: GoldenImages.onDemand(endingIn: "turned.heic", "turned.avif"))
    func truncatedContainer(file: String) throws {
        let bytes = try TestFixtures.bytes("images/" + file)
        for length in stride(from: 40, to: bytes.count - 1, by: 61) {
            #expect(throws: ImageError.self) { try ImageDecoder.decode(Array(bytes[..<length]), limits: Self.limits) }
        }
    }

    @Test("flipped bits give an image or an error", arguments: GoldenImages.onDemand(endingIn: ".tif"))
    func flipped(file: String) throws {
        let bytes = try TestFixtures.bytes("images/" + file)
        let limits = ImageLimits(maximumPixels: 1_000_000, formats: .all)
        var random = SeededGenerator(seed: 20_261_129)
        for _ in 0..<100 {
            var damaged = bytes
            damaged[Int.random(in: 4..<bytes.count, using: &random)] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            do throws(ImageError) {
                let image = try ImageDecoder.decode(damaged, limits: limits)
                #expect(image.pixels.count == image.width * image.height * 3)
            } catch {
                #expect(!error.message.isEmpty)
            }
        }
    }

    @Test("a TIFF that claims too many pixels, or a tile of too many, is refused before they are allocated")
    func bombs() throws {
        guard ImageFormats.all.members.contains(where: { $0.name == "TIFF" && $0.unavailability == nil }) else {
            return
        }
        func entry(_ tag: UInt16, _ value: UInt32) -> [UInt8] {
            let head: [UInt8] = [UInt8(tag >> 8), UInt8(truncatingIfNeeded: tag), 0, 4, 0, 0, 0, 1]
            return head + PNGBuilder.bigEndian(value)
        }
        func file(_ entries: [[UInt8]]) -> [UInt8] {
            let head = Array("MM\0*".utf8) + PNGBuilder.bigEndian(8) + [0, UInt8(entries.count)]
            return head + Array(entries.joined()) + [UInt8](repeating: 0, count: 68)
        }
        let wide = file([
            entry(256, .max), entry(257, .max), entry(258, 8), entry(262, 1), entry(273, 8), entry(277, 1),
            entry(278, .max), entry(279, 64),
        ])
        let tiled = file([
            entry(256, 10), entry(257, 10), entry(258, 8), entry(262, 1), entry(277, 1), entry(322, 1 << 20),
            entry(323, 1 << 20), entry(324, 8), entry(325, 64),
        ])
        for bomb in [wide, tiled] {
            let error = #expect(throws: ImageError.self) {
                try ImageDecoder.decode(bomb, limits: ImageLimits(maximumAspectRatio: .infinity, formats: .all))
            }
            #expect(error?.kind == .tooLarge || error?.kind == .corrupt, "\(error?.message ?? "")")
        }
    }
}
