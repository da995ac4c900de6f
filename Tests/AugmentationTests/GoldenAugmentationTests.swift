import ImagePipeline
import TestFixtures
import Testing

@testable import Augmentation

/// A picture of the fixtures and what Pillow 13.0 makes of it; see `Fixtures/augmentation/make_fixtures.py`.
struct GoldenAugmentation: CustomTestStringConvertible {
    static let tensors = try! FixtureTensors("augmentation/augmentation.safetensors")
    let name: String
    var parts: [String] { name.split(separator: "/").map(String.init) }
    var testDescription: String { name }

    static func all(where isWanted: ([String]) -> Bool) -> [GoldenAugmentation] {
        tensors.names.map { GoldenAugmentation(name: $0) }.filter { isWanted($0.parts) }
    }

    static func image(_ name: String) -> RGBImage {
        let tensor = tensors.bytes(name)
        return RGBImage(width: tensor.shape[1], height: tensor.shape[0], pixels: tensor.values)
    }

    var original: RGBImage { Self.image(parts[0] + "/original") }
    var expected: RGBImage { Self.image(name) }
}

@Suite("Augmentations are Pillow's")
struct GoldenAugmentationTests {
    @Test(
        "An operation of RandAugment, bit for bit",
        arguments: GoldenAugmentation.all { $0.count == 4 })
    func operations(golden: GoldenAugmentation) throws {
        let operation = try #require(RandAugment.Operation(rawValue: golden.parts[1]))
        let strength = try #require(Double(golden.parts[2]))
        let result = operation.applied(
            to: golden.original, strength: strength, negated: golden.parts[3] == "-", fill: [124, 116, 104])
        let differences = zip(result.pixels, golden.expected.pixels).filter { $0 != $1 }
        #expect(differences.isEmpty, "\(differences.count) of \(result.pixels.count): \(differences.prefix(5))")
    }

    @Test("Every operation has its fixtures")
    func coverage() {
        let covered = Set(GoldenAugmentation.all { $0.count == 4 }.map { $0.parts[1] })
        #expect(covered == Set(RandAugment.Operation.allCases.map(\.rawValue)))
    }

    @Test("A crop, black beyond the border", arguments: GoldenAugmentation.all { $0.count == 5 })
    func crops(golden: GoldenAugmentation) throws {
        let numbers = golden.parts.suffix(3).compactMap { Int($0) }
        let result = golden.original.cropped(x: numbers[1], y: numbers[2], width: numbers[0], height: numbers[0])
        #expect(result == golden.expected)
    }

    @Test("A random resized crop's part, resized to a square", arguments: GoldenAugmentation.all { $0.count == 7 })
    func resizedCrops(golden: GoldenAugmentation) throws {
        let numbers = golden.parts.suffix(5).compactMap { Int($0) }
        let (side, left, top, right, bottom) = (numbers[0], numbers[1], numbers[2], numbers[3], numbers[4])
        let part = golden.original.cropped(x: left, y: top, width: right - left, height: bottom - top)
        #expect(part.resized(width: side, height: side) == golden.expected)
    }
}
