import ImagePipeline
import TestFixtures
import Testing

@testable import Augmentation

/// What the benchmark's definitions make of two pictures; see `Fixtures/augmentation/make_corruptions.py`.
private let golden = try! FixtureTensors("augmentation/corruptions.safetensors")

private func goldenImage(_ name: String) -> RGBImage {
    RGBImage(width: 32, height: 32, pixels: golden.bytes(name).values)
}

@Suite("Corruptions")
struct CorruptionTests {
    struct Case: CustomTestStringConvertible {
        let corruption: Corruption
        let severity: Int
        var testDescription: String { "\(corruption.rawValue):\(severity)" }
    }

    static func cases(_ corruptions: [Corruption]) -> [Case] {
        corruptions.flatMap { corruption in Corruption.severities.map { Case(corruption: corruption, severity: $0) } }
    }

    private static let pictures = ["noise", "photograph"]

    private func greatestDifference(_ image: RGBImage, _ expected: RGBImage) -> Int {
        zip(image.pixels, expected.pixels).map { abs(Int($0) - Int($1)) }.max() ?? .max
    }

    @Test("Pixelation and JPEG are Pillow's, bit for bit", arguments: cases([.pixelate, .jpeg]))
    func exact(sample: Case) {
        for picture in Self.pictures {
            let result = sample.corruption.applied(
                to: goldenImage(picture + "/original"), severity: sample.severity, seed: 1)
            #expect(result.pixels == golden.bytes("\(picture)/\(sample.corruption.rawValue)/\(sample.severity)").values)
        }
    }

    @Test(
        "Truncated numbers differ by one level at most from the benchmark's, computed in other orders and precisions",
        arguments: cases([.defocusBlur, .zoomBlur, .brightness, .contrast]))
    func close(sample: Case) {
        for picture in Self.pictures {
            let result = sample.corruption.applied(
                to: goldenImage(picture + "/original"), severity: sample.severity, seed: 1)
            let expected = goldenImage("\(picture)/\(sample.corruption.rawValue)/\(sample.severity)")
            #expect(greatestDifference(result, expected) <= 1)
            let different = zip(result.pixels, expected.pixels).count { $0 != $1 }
            #expect(different < 310, "of 3072")
        }
    }

    @Test("Motion blur in a given direction", arguments: Array(Corruption.severities), [-33, 0, 20])
    func motion(severity: Int, degrees: Int) {
        let (radius, deviation) = [(6.0, 1.0), (6, 1.5), (6, 2), (8, 2), (9, 2.5)][severity - 1]
        for picture in Self.pictures {
            let result = SampleField(goldenImage(picture + "/original")).smeared(
                radius: radius, deviation: deviation, degrees: Double(degrees)
            ).roundedImage
            #expect(greatestDifference(result, goldenImage("\(picture)/motion-blur/\(severity)/\(degrees)")) <= 1)
        }
    }

    @Test("The fog's clouds are the diamond-square algorithm's for the same random numbers", arguments: ["3", "1.75"])
    func plasma(decay: String) throws {
        var draws = golden.doubles("plasma/draws").makeIterator()
        let plasma = PlasmaFractal(covering: 32, decay: try #require(Double(decay))) { draws.next()! }
        let expected = golden.doubles("plasma/\(decay)")
        #expect(zip(plasma.heights, expected).allSatisfy { abs($0 - $1) < 1e-12 } && plasma.heights.count == 1024)
        #expect(PlasmaFractal(covering: 33, decay: 2) { 0.25 }.side == 64)
    }

    @Test(
        "The same seed spoils alike, and random families spoil otherwise with another", arguments: Corruption.allCases)
    func isDeterministic(corruption: Corruption) {
        let image = goldenImage("photograph/original")
        let random: Set<Corruption> = [.gaussianNoise, .shotNoise, .impulseNoise, .motionBlur, .fog]
        let result = corruption.applied(to: image, severity: 3, seed: 1)
        #expect(result == corruption.applied(to: image, severity: 3, seed: 1))
        #expect((result != corruption.applied(to: image, severity: 3, seed: 2)) == random.contains(corruption))
    }

    @Test("The worse the severity, the farther a picture is from what it was", arguments: Corruption.allCases)
    func isMonotone(corruption: Corruption) {
        let image = goldenImage("photograph/original")
        let distances = Corruption.severities.map { severity in
            (0..<6).reduce(0.0) { sum, seed in
                let result = corruption.applied(to: image, severity: severity, seed: UInt64(seed))
                return zip(result.pixels, image.pixels).reduce(sum) {
                    $0 + (Double($1.0) - Double($1.1)) * (Double($1.0) - Double($1.1))
                }
            }
        }
        #expect(distances[0] > 0)
        // Two are not quite monotone as they are defined: thirty boxes of 32 pixels alias more than 28, and a Gaussian of
        // deviation 2 has nothing left beyond 13 pixels.
        let compared = corruption == .pixelate ? Array(distances.dropFirst()) : distances
        let pairs = zip(compared, compared.dropFirst())
        #expect(corruption == .motionBlur ? pairs.allSatisfy(<=) : pairs.allSatisfy(<), "\(distances)")
        #expect(distances.dropLast().allSatisfy { $0 < distances[4] })
    }

    @Test("Pictures of any side are taken", arguments: [1, 2, 3, 17, 64], Corruption.allCases)
    func anySide(side: Int, corruption: Corruption) {
        let pixels = (0..<3 * side * side).map { UInt8($0 * 7 % 256) }
        let image = RGBImage(width: side, height: side, pixels: pixels)
        for severity in [1, 5] {
            #expect(corruption.applied(to: image, severity: severity, seed: 0).pixels.count == pixels.count)
        }
    }

    @Test("Noise has the distribution stated")
    func distributions() {
        let gray = RGBImage(width: 64, height: 64, pixels: [UInt8](repeating: 128, count: 64 * 64 * 3))
        func deviation(_ corruption: Corruption) -> Double {
            let pixels = corruption.applied(to: gray, severity: 5, seed: 9).pixels.map { Double($0) / 255 }
            let mean = pixels.reduce(0, +) / Double(pixels.count)
            #expect(abs(mean - 128.0 / 255) < 0.01, "\(corruption)")
            return (pixels.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(pixels.count)).squareRoot()
        }
        #expect(abs(deviation(.gaussianNoise) - 0.1) < 0.004)
        // Of k photons among 50 for white, the deviation is the root of the mean number.
        #expect(abs(deviation(.shotNoise) - (128.0 / 255 * 50).squareRoot() / 50) < 0.004)
        // Seven in a hundred become 0 or 1, each half away from gray.
        #expect(abs(deviation(.impulseNoise) - (0.07 * 0.25).squareRoot()) < 0.01)
        let hit = Corruption.impulseNoise.applied(to: gray, severity: 5, seed: 9).pixels.filter { $0 != 128 }
        #expect(Set(hit) == [0, 255])
    }
}
