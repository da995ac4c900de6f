import ImagePipeline
import Testing

@testable import Augmentation

@Suite("Augmentation policies")
struct AugmentationPolicyTests {
    private static func picture(side: Int, seed: UInt64 = 1) -> RGBImage {
        var random = RandomStream(seed: seed)
        let pixels = (0..<side * side * 3).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        return RGBImage(width: side, height: side, pixels: pixels)
    }

    @Test(
        "A policy is read and written alike",
        arguments: [
            ("none", "none"), ("flip,crop", "crop,flip"),
            ("randaugment,jitter,erasing", "randaugment=9.0,jitter=0.4,erasing=0.25"),
            ("randaugment=5,erasing=1", "randaugment=5.0,erasing=1.0"),
            ("full", "crop,flip,randaugment=9.0,jitter=0.4,erasing=0.25"),
        ])
    func reads(text: String, written: String) throws {
        let policy = try #require(AugmentationPolicy(text))
        #expect(policy.description == written)
        #expect(AugmentationPolicy(written) == policy)
    }

    @Test(
        "Anything else is no policy",
        arguments: [
            "", "flips", "crop,", "crop,crop", "crop=1", "flip=0", "none,flip", "jitter=2", "jitter=", "jitter=x",
            "erasing=-1", "erasing=nan", "randaugment=11", "randaugment=9=9",
        ])
    func refuses(text: String) {
        #expect(AugmentationPolicy(text) == nil)
    }

    @Test("The stream determines what is done, and another does something else", arguments: [32, 40])
    func isDeterministic(side: Int) {
        let image = Self.picture(side: side)
        func result(_ seed: UInt64) -> ([UInt8], [Float]) {
            var random = RandomStream(seed: seed)
            let picture = AugmentationPolicy.full.picture(
                of: image, side: side, fill: [1, 2, 3], using: &random)
            var pixels = [Float](repeating: 0, count: 3 * side * side)
            pixels.withUnsafeMutableBufferPointer { AugmentationPolicy.full.erase($0, side: side, using: &random) }
            return (picture.pixels, pixels)
        }
        let results = (0..<20).map { result(UInt64($0)) }
        #expect(results.allSatisfy { $0.0.count == side * side * 3 })
        let same = (0..<20).allSatisfy { result(UInt64($0)) == results[$0] }
        #expect(same)
        #expect(Set(results.map(\.0)).count == 20)
    }

    @Test("No augmentation leaves the picture alone and draws no numbers")
    func none() {
        var (random, untouched) = (RandomStream(seed: 4), RandomStream(seed: 4))
        let image = Self.picture(side: 32)
        #expect(AugmentationPolicy.none.picture(of: image, side: 32, fill: [0, 0, 0], using: &random) == image)
        #expect(random.next() == untouched.next())
    }

    @Test("Windows lie at all 81 places, and a mirror image comes every second time")
    func windows() throws {
        // Every pixel tells its place.
        var pixels: [UInt8] = []
        for place in 0..<1024 { pixels += [UInt8(place % 32 + 1), UInt8(place / 32 + 1), 0] }
        let image = RGBImage(width: 32, height: 32, pixels: pixels)
        var random = RandomStream(seed: 8)
        var (places, mirrored) = (Set<[UInt8]>(), 0)
        for _ in 0..<1000 {
            let picture = AugmentationPolicy(crops: true, flips: true)
                .picture(of: image, side: 32, fill: [0, 0, 0], using: &random)
            let middle = (16 * 32 + 15) * 3
            let (left, right) = (picture.pixels[middle], picture.pixels[middle + 3])
            places.insert([min(left, right), picture.pixels[middle + 1]])
            if left > right { mirrored += 1 }
        }
        #expect(places.count == 81 && (440...560).contains(mirrored))
    }

    @Test("Erasing changes the share of images stated, fills 2 to 33 % and nothing else")
    func erasing() {
        var random = RandomStream(seed: 6)
        var shares: [Double] = []
        for _ in 0..<400 {
            var pixels = [Float](repeating: .infinity, count: 3 * 32 * 32)
            pixels.withUnsafeMutableBufferPointer { RandomErasing().apply(to: $0, side: 32, using: &random) }
            let erased = pixels.count { $0.isFinite }
            #expect(erased.isMultiple(of: 3))
            if erased > 0 { shares.append(Double(erased) / Double(pixels.count)) }
        }
        #expect((70...130).contains(shares.count))
        #expect(shares.allSatisfy { (0.015...0.36).contains($0) })
        #expect(abs(shares.reduce(0, +) / Double(shares.count) - 0.177) < 0.03)
    }

    @Test("Random parts of a whole picture keep within its area and ratio, and long pictures are cropped at the centre")
    func resizedCrops() {
        var random = RandomStream(seed: 3)
        let flat = RGBImage(width: 300, height: 20, pixels: [UInt8](repeating: 77, count: 300 * 20 * 3))
        let picture = flat.randomlyResized(to: 16, scale: 0.9...1, ratio: 0.75...4.0 / 3, using: &random)
        #expect(picture == RGBImage(width: 16, height: 16, pixels: [UInt8](repeating: 77, count: 768)))
    }

    @Test("RandAugment leaves a quarter of the images alone or nearly so, and tiny images don't hurt it")
    func randAugment() {
        var random = RandomStream(seed: 12)
        let image = Self.picture(side: 32)
        let unchanged = (0..<400).count { _ in
            RandAugment().applied(to: image, fill: [0, 0, 0], using: &random) == image
        }
        #expect((90...180).contains(unchanged), "both are left out, or change nothing as autocontrast of noise")
        for _ in 0..<400 {
            let tiny = RandAugment().applied(to: Self.picture(side: 1), fill: [0, 0, 0], using: &random)
            #expect(tiny.width == 1 && tiny.height == 1)
        }
    }
}
