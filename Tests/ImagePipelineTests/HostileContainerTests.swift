import TestFixtures
import Testing

@testable import ImagePipeline

/// Keeps the promise that a HEIC or AVIF takes no more memory and time than the size that it states lets expect, whatever sizes are in its
/// bitstreams and layouts. Most of these files took more than a gigabyte, or minutes.
@Suite("HEIC and AVIF that hold more than they state")
struct HostileContainerTests {
    private static let canDecode = ImageFormats.all.members.contains { $0.name == "HEIC" && $0.unavailability == nil }

    @Test(
        "are refused before a decoder sees them", .enabled(if: canDecode),
        arguments: [
            // In parameter sets and headers that decoders allocate by.
            ("parameter-set.heic", "up to 268435456 pixels are decoded for a picture of 64x64"),
            ("parameter-set-in-data.heic", "up to 268435456 pixels"),
            ("sequence.avif", "up to 268435456 pixels"), ("sequence-in-configuration.avif", "up to 268435456 pixels"),
            ("frame.avif", "up to 4294967296 pixels"),
            ("no-picture.heic", "up to 268435456 pixels"),
            // In the number of pictures, of parameter sets that decoders make tables for, or of those that one may refer to.
            ("pictures.heic", "up to 3145728 pixels"), ("frames.avif", "up to 3145728 pixels"),
            ("picture-sets.heic", "up to 17825792 pixels"), ("references.heic", "up to 17825792 pixels"),
            // In pictures that others are made of, or that belong to them, and in what is left of them.
            ("canvas.heic", "up to 268435456 pixels"), ("wide-canvas.heic", "up to 268435456 pixels"),
            ("overlay.heic", "up to 268435456 pixels"), ("tile.heic", "up to 268435456 pixels"),
            ("identity.heic", "up to 268435456 pixels"), ("alpha.heic", "up to 268435456 pixels"),
            ("cropped.heic", "up to 268435456 pixels are decoded for a picture of 16x16"),
            ("tiles.heic", "decoded too often"), ("grids-of-grids.heic", "decoded too often"),
            ("itself.heic", "too many others"),
            // In what libheif copies when it opens a file.
            ("copies.heic", "too large for the file"),
        ])
    func refusal(file: String, reason: String) throws {
        let bytes = try TestFixtures.bytes("images/hostile/" + file)
        for read in [
            { _ = try ImageDecoder.probe(bytes, formats: .all) },
            { _ = try ImageDecoder.decode(bytes, limits: ImageLimits(formats: .all)) },
        ] as [() throws -> Void] {
            let error = #expect(throws: ImageError.self) { try read() }
            #expect(error?.kind == .tooLarge)
            #expect(error?.message.contains(reason) == true, "\(error?.message ?? "")")
        }
    }

    @Test(
        "are empty if a side has no pixels, however long the other one is", .enabled(if: canDecode),
        arguments: ["no-width.heic", "no-height.heic", "no-size.heic"])
    func noPixels(file: String) throws {
        let bytes = try TestFixtures.bytes("images/hostile/" + file)
        let error = #expect(throws: ImageError.self) { try ImageDecoder.probe(bytes, formats: .all) }
        #expect(error?.kind == .empty)
        #expect(error?.message.contains("zero pixels") == true, "\(error?.message ?? "")")
    }

    @Test("in more units than a picture has, each of which a decoder keeps, are damaged", .enabled(if: canDecode))
    func units() throws {
        let bytes = try TestFixtures.bytes("images/hostile/units.heic")
        let error = #expect(throws: ImageError.self) { try ImageDecoder.probe(bytes, formats: .all) }
        #expect(error?.kind == .corrupt)
        #expect(error?.message.contains("more than 1000 units") == true, "\(error?.message ?? "")")
    }

    @Test("with metadata that libheif would decompress to any length are unsupported", .enabled(if: canDecode))
    func compressedMetadata() throws {
        let bytes = try TestFixtures.bytes("images/hostile/compressed-metadata.heic")
        let error = #expect(throws: ImageError.self) { try ImageDecoder.probe(bytes, formats: .all) }
        #expect(error?.kind == .unsupported)
        #expect(error?.message.contains("metadata are compressed") == true, "\(error?.message ?? "")")
    }

    @Test(
        "are no others: a flipped bit gives a picture or an error", .enabled(if: canDecode),
        arguments: ["alpha.heic", "half-chroma.avif"])
    func flipped(file: String) throws {
        let bytes = try TestFixtures.bytes("images/on-demand/" + file)
        let limits = ImageLimits(maximumPixels: 1_000_000, formats: .all)
        var random = SeededGenerator(seed: 20_261_129)
        var refused = 0
        for _ in 0..<200 {
            var damaged = bytes
            damaged[Int.random(in: 12..<700, using: &random)] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            do throws(ImageError) {
                let image = try ImageDecoder.decode(damaged, limits: limits)
                #expect(image.pixels.count == image.width * image.height * 3)
            } catch {
                #expect(!error.message.isEmpty)
                refused += 1
            }
        }
        #expect((20..<200).contains(refused), "\(refused) refused")
    }
}
