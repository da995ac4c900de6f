import Foundation
import TestFixtures
import Testing

@testable import ImagePipeline

/// Images and what Pillow makes of them, as `deploy/checks/pillow_cases.py` writes them into a folder.
struct PillowCase: Decodable, Sendable, CustomTestStringConvertible {
    struct Picture: Decodable, Sendable {
        let width: Int
        let height: Int
        /// The file of its pixels, [height][width][3].
        let pixels: String
    }

    struct Crop: Decodable, Sendable {
        let shorterSide: Int
        let isScaled: Bool
        let image: Picture
    }

    struct Resized: Decodable, Sendable {
        let filter: String
        let image: Picture
    }

    let file: String
    let decoded: Picture?
    let crops: [Crop]
    let resized: [Resized]

    var testDescription: String { file }

    /// Where they are; nil outside of `deploy/check-pillow`.
    static let folder = ProcessInfo.processInfo.environment["HEADWATER_PILLOW_CASES"].map { URL(filePath: $0) }

    static let all: [PillowCase] = {
        guard folder != nil else { return [] }
        let all = try! JSONDecoder().decode([PillowCase].self, from: Data(bytes("cases.json")))
        return all.filter { !$0.file.hasSuffix(".tiff") || ImageFormat.named("TIFF").unavailability == nil }
    }()

    static func bytes(_ name: String) -> [UInt8] { try! [UInt8](Data(contentsOf: folder!.appending(path: name))) }
}

/// Keeps the promise that decoding and resizing are bit-exact with Pillow 13.0, over as many images as are wanted.
@Suite("Images come out as from an installed Pillow", .enabled(if: PillowCase.folder != nil, "run deploy/check-pillow"))
struct PillowComparisonTests {
    private static let limits = ImageLimits(maximumPixels: .max, maximumAspectRatio: .infinity, formats: .all)

    @Test("decoded, cropped and resized", arguments: PillowCase.all)
    func comparison(testCase: PillowCase) throws {
        let file = PillowCase.bytes(testCase.file)
        let image = try ImageDecoder.decode(file, limits: Self.limits)
        if let expected = testCase.decoded { expectEqual(image, expected, "decoded") }
        for crop in testCase.crops {
            let preprocessing = try Preprocessing(
                resizeShorterSide: crop.shorterSide, cropSize: crop.image.width, mean: [0, 0, 0],
                standardDeviation: [1, 1, 1])
            let found = try preprocessing.croppedImage(
                for: file, limits: Self.limits, decoding: crop.isScaled ? .scaled : .exact)
            expectEqual(found, crop.image, "resized to \(crop.shorterSide), cropped to \(crop.image.width)")
        }
        for resized in testCase.resized {
            let found = image.resized(
                width: resized.image.width, height: resized.image.height,
                filter: resized.filter == "box" ? .box : .bicubic)
            expectEqual(found, resized.image, "resized to \(resized.image.width)x\(resized.image.height)")
        }
    }

    @Test("there are cases")
    func completeness() {
        #expect(PillowCase.all.count { $0.decoded != nil && !$0.resized.isEmpty } >= 100)
        #expect(PillowCase.all.contains { $0.crops.contains(where: \.isScaled) })
    }

    private func expectEqual(_ found: RGBImage, _ expected: PillowCase.Picture, _ what: String) {
        #expect(found.width == expected.width && found.height == expected.height, "\(what)")
        let pixels = PillowCase.bytes(expected.pixels)
        guard found.pixels != pixels else { return }
        let differing = zip(found.pixels, pixels).filter { $0 != $1 }
        let largest = differing.map { abs(Int($0) - Int($1)) }.max() ?? 0
        Issue.record("\(what): \(differing.count) of \(pixels.count) samples differ, by \(largest) at most")
    }
}
