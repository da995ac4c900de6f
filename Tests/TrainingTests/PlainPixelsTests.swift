import Augmentation
import ImagePipeline
import TestFixtures
import Testing

@testable import Training

/// Keeps the promise that a flow is learnt from the images themselves, whatever the augmentation of what classes are learnt from.
@Suite("Plain pixels of a batch")
struct PlainPixelsTests {
    @Test(
        "are those of evaluation, mirrored at random if the augmentation mirrors, and leave the augmented ones as they are",
        arguments: ["none", "full", "crop,jitter"], [8, 40])
    func plain(policy: String, side: Int) throws {
        let scratch = try Scratch()
        var random = RandomStream(seed: 5)
        for index in 0..<12 {
            let pixels = (0..<60 * 50 * 3).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            try scratch.write(RGBImage(width: 60, height: 50, pixels: pixels).png(), to: "\(index % 2)/\(index).png")
        }
        let subset = LabelledSubset(try LabelledImages(at: scratch.folder.path))
        let preprocessing = try Preprocessing(
            resizeShorterSide: side + 2, cropSize: side, mean: [0.5, 0.5, 0.5], standardDeviation: [0.5, 0.5, 0.5])
        let augmentation = try #require(AugmentationPolicy(policy))
        func batch(plain: Bool) throws -> Batch {
            var configuration = DataFeed.Configuration(batchSize: 12, seed: 3)
            configuration.augmentation = augmentation
            configuration.flowImages = plain ? .own : .none
            return try DataFeed(subset, preprocessing: preprocessing, configuration).batch(epoch: 1, index: 0)
        }
        let (found, without) = (try batch(plain: true), try batch(plain: false))
        let isSame = found.pixels == without.pixels && found.positions == without.positions
        #expect(isSame && without.flowPixels == nil)
        let plain = try #require(found.flowPixels)
        let size = 3 * side * side
        var mirrored = 0
        for (n, position) in found.positions.enumerated() {
            let image = try preprocessing.croppedImage(for: subset.images.bytes(at: position), decoding: .scaled)
            let pixels = Array(plain[n * size..<(n + 1) * size])
            if pixels == preprocessing.normalized(image.mirrored()) {
                mirrored += 1
            } else {
                let isImage = pixels == preprocessing.normalized(image)
                #expect(isImage, "image \(position)")
            }
        }
        #expect(augmentation.flips ? (1..<12).contains(mirrored) : mirrored == 0)
    }

    @Test("come from another data set if there is one, batch by batch, also where a run goes on", arguments: [1, 4, 7])
    func other(images: Int) throws {
        let scratch = try Scratch()
        var random = RandomStream(seed: 6)
        for (folder, count) in [("own", 6), ("other", images)] {
            for index in 0..<count {
                let pixels = (0..<8 * 8 * 3).map { _ in UInt8(truncatingIfNeeded: random.next()) }
                try scratch.write(RGBImage(width: 8, height: 8, pixels: pixels).png(), to: "\(folder)/a/\(index).png")
            }
        }
        let preprocessing = try Preprocessing(
            resizeShorterSide: 8, cropSize: 8, mean: [0.5, 0.5, 0.5], standardDeviation: [0.5, 0.5, 0.5])
        func feed(_ folder: String, _ flowImages: DataFeed.FlowImages = .none) throws -> DataFeed {
            var configuration = DataFeed.Configuration(batchSize: 2, seed: 3)
            configuration.flowImages = flowImages
            let images = try LabelledImages(at: scratch.path(folder), ignoringClasses: true)
            return DataFeed(LabelledSubset(images), preprocessing: preprocessing, configuration)
        }
        let (plain, other) = (try feed("own"), try feed("other"))
        let both = try feed("own", .other(try feed("other")))
        let (whole, resumed) = (both.batches(), both.batches(fromEpoch: 1, index: 2))
        for step in 0..<9 {
            let (batch, own) = (try whole.next(), try plain.batch(epoch: step / 3, index: step % 3))
            let perEpoch = other.batchesPerEpoch
            let expected = try other.batch(epoch: step / perEpoch, index: step % perEpoch)
            #expect(batch.pixels == own.pixels && batch.positions == own.positions)
            #expect(batch.flowPixels == expected.pixels, "step \(step)")
            if step >= 5 { #expect(try resumed.next().flowPixels == batch.flowPixels) }
        }
    }
}
