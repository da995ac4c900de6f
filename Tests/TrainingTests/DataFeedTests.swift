import Augmentation
import Foundation
import ImagePipeline
import TestFixtures
import Testing

@testable import Training

/// Thirty-seven small pictures in three classes, each its own colour.
private struct SmallDataSet {
    static let counts = ["bird": 10, "cat": 20, "dog": 7]
    let folder: TemporaryFolder
    var path: String { folder.path }

    init() throws {
        folder = try TemporaryFolder()
        var random = RandomStream(seed: 5)
        for (name, count) in Self.counts.sorted(by: { $0.key < $1.key }) {
            for index in 0..<count {
                let pixels = (0..<12 * 12 * 3).map { _ in UInt8(truncatingIfNeeded: random.next()) }
                try folder.write("\(name)/\(index).png", RGBImage(width: 12, height: 12, pixels: pixels).png())
            }
        }
    }

    func subset() throws -> LabelledSubset { LabelledSubset(try LabelledImages(at: path)) }

    static func preprocessing() throws -> Preprocessing {
        try Preprocessing(
            resizeShorterSide: 10, cropSize: 8, mean: [0.485, 0.456, 0.406], standardDeviation: [0.229, 0.224, 0.225])
    }
}

@Suite("Data feed")
struct DataFeedTests {
    private static func feed(
        _ subset: LabelledSubset, seed: UInt64 = 1, _ adjust: (inout DataFeed.Configuration) -> Void = { _ in }
    ) throws -> DataFeed {
        var configuration = DataFeed.Configuration(batchSize: 8, seed: seed)
        configuration.augmentation = AugmentationPolicy(crops: true, flips: true)
        adjust(&configuration)
        return DataFeed(subset, preprocessing: try SmallDataSet.preprocessing(), configuration)
    }

    @Test("Without augmentation a feed's pixels are those of evaluation, bit for bit")
    func agreesWithEvaluation() throws {
        let data = try SmallDataSet()
        let subset = try data.subset()
        let feed = try Self.feed(subset) {
            $0.augmentation = .none
            $0.shuffles = false
            $0.remainder = .kept
        }
        let batches = try (0..<feed.batchesPerEpoch).map { try feed.batch(epoch: 3, index: $0) }
        #expect(batches.map(\.count) == [8, 8, 8, 8, 5])
        #expect(batches.flatMap(\.labels) == subset.labels)
        let expected = try subset.indices.flatMap {
            try SmallDataSet.preprocessing().input(for: try subset.images.bytes(at: $0))
        }
        let same = batches.flatMap(\.pixels) == expected
        #expect(same)
    }

    @Test("An epoch has each image once, in an order of its own, which the seed determines")
    func shuffles() throws {
        let data = try SmallDataSet()
        let feed = try Self.feed(try data.subset())
        #expect(feed.batchesPerEpoch == 4)
        #expect(feed.order(epoch: 0).positions.sorted() == Array(0..<37))
        #expect(feed.order(epoch: 0) != feed.order(epoch: 1))
        #expect(feed.order(epoch: 7) == (try Self.feed(try data.subset())).order(epoch: 7))
        #expect(feed.order(epoch: 0) != (try Self.feed(try data.subset(), seed: 2)).order(epoch: 0))
    }

    @Test(
        "A stream gives the batches that stand at its place, wherever it begins and whatever is cached",
        arguments: [0, 600, 1 << 30])
    func resumes(cacheBytes: Int) throws {
        let data = try SmallDataSet()
        let subset = try data.subset()
        let whole = try Self.feed(subset).batches(depth: 2)
        let all = try (0..<11).map { _ in try whole.next() }
        #expect(all.map { [$0.epoch, $0.index] }.prefix(5) == [[0, 0], [0, 1], [0, 2], [0, 3], [1, 0]])
        let resumed = try Self.feed(subset) { $0.cacheBytes = cacheBytes }.batches(fromEpoch: 1, index: 2, depth: 1)
        for expected in all.dropFirst(6) {
            let batch = try resumed.next()
            let same = batch.pixels == expected.pixels && batch.labels == expected.labels
            #expect(same && batch.epoch == expected.epoch && batch.index == expected.index)
        }
        let same = all[0].pixels == all[4].pixels
        #expect(!same, "each epoch is changed differently")
    }

    @Test("A picture that can't be decoded ends the stream with an error that names it")
    func namesBadImages() throws {
        let data = try SmallDataSet()
        try data.folder.write("cat/13.png", [1, 2, 3])
        let stream = try Self.feed(try data.subset()).batches()
        let error = #expect(throws: DataSetError.self) { while true { _ = try stream.next() } }
        #expect(error?.message.contains("\(data.path): cat/13.png: the bytes are not an image") == true)
        #expect(throws: DataSetError.self) { try stream.next() }
    }

    @Test(
        "A damaged image that is skipped leaves its batch smaller and all others as they were, wherever a stream begins"
    )
    func skipsDamaged() throws {
        let data = try SmallDataSet()
        let sound = try Self.feed(try data.subset())
        let all = try (0..<8).map { try sound.batch(epoch: $0 / 4, index: $0 % 4) }
        // In the middle of its entropy-coded data, after which a decoder could make something up.
        let png = try TestFixtures.bytes("images/rgb-120x80.png")
        try data.folder.write("cat/13.png", Array(png.prefix(png.count / 2)))
        let subset = try data.subset()
        let position = try #require(subset.indices.firstIndex { subset.images.items[$0].path == "cat/13.png" })
        let feed = try Self.feed(subset) { $0.damage = .skip(share: 0.01) }
        for start in [0, 3, 5] {
            let stream = feed.batches(fromEpoch: start / 4, index: start % 4, depth: 1)
            for expected in all.dropFirst(start) {
                let batch = try stream.next()
                let kept = expected.positions.indices.filter { expected.positions[$0] != position }
                #expect(batch.positions == kept.map { expected.positions[$0] })
                #expect(batch.labels == kept.map { expected.labels[$0] })
                let size = 3 * 8 * 8
                let same = batch.pixels == kept.flatMap { expected.pixels[($0 * size)..<(($0 + 1) * size)] }
                #expect(same)
            }
        }
        #expect(feed.damaged.count == 1)
        #expect(feed.damaged.takeNew().map(\.message).first?.contains("cat/13.png") == true)
        #expect(feed.damaged.takeNew().isEmpty, "each is told of once")
    }

    @Test("Beyond the limit the first few damaged images are named; one that can't be read ends the work at once")
    func limitsDamage() throws {
        let data = try SmallDataSet()
        for index in 0..<7 { try data.folder.write("dog/\(index).png", [UInt8(index)]) }
        let subset = try data.subset()
        func failure(_ damage: DamagePolicy) throws -> DataSetError? {
            let feed = try Self.feed(subset) {
                $0.damage = damage
                $0.shuffles = false
                $0.remainder = .kept
            }
            do {
                for index in 0..<feed.batchesPerEpoch { _ = try feed.batch(epoch: 0, index: index) }
            } catch { return error }
            return nil
        }
        #expect(try failure(.fail)?.message.contains("dog/0.png") == true)
        #expect(try failure(.skip(share: 0))?.message.contains("1 of 37 images are damaged, more than the 0") == true)
        let message = try #require(try failure(.skip(share: 0.1))).message
        #expect(
            message.contains("4 of 37 images are damaged, more than the 3 allowed") && message.contains("dog/3.png"))
        #expect(try failure(.skip(share: 0.2)) == nil)
        try FileManager.default.removeItem(atPath: data.path + "/dog/0.png")
        #expect(try failure(.skip(share: 1))?.kind == .unreadable)
    }

    @Test("A set of nothing but damaged images is an error, whatever the limit")
    func nothingLeft() throws {
        let folder = try TemporaryFolder()
        for index in 0..<3 { try folder.write("a/\(index).png") }
        let feed = try Self.feed(LabelledSubset(try LabelledImages(at: folder.path))) { $0.damage = .skip(share: 1) }
        let error = #expect(throws: DataSetError.self) { try feed.batch(epoch: 0, index: 0) }
        #expect(error?.message.contains("all 3 images are damaged") == true)
    }

    @Test(
        "Balanced, every class comes equally often, its images in turn, each time changed otherwise, by the seed alone")
    func balances() throws {
        let data = try SmallDataSet()
        let subset = try data.subset()
        let feed = try Self.feed(subset) { $0.balancesClasses = true }
        let order = feed.order(epoch: 2)
        #expect(order.positions.count == 37 && feed.batchesPerEpoch == 4)
        let counts = (0..<3).map { label in order.positions.count { subset.labels[$0] == label } }
        #expect(counts.sorted() == [12, 12, 13])
        let uses = Dictionary(grouping: order.positions.indices) { order.positions[$0] }
        for (position, places) in uses {
            let times = places.count
            let members = subset.labels.count { $0 == subset.labels[position] }
            #expect((12 / members...(13 + members - 1) / members).contains(times))
            #expect(places.map { order.repetition(at: $0) }.sorted() == Array(0..<times))
        }
        #expect(try Self.feed(subset) { $0.balancesClasses = true }.order(epoch: 2) == order)
        #expect(feed.order(epoch: 3) != order)
        // Two uses of one image in an epoch.
        let twice = try #require(uses.values.first { $0.count > 1 })
        let pixels = try twice.map { place in
            let batch = try feed.batch(place / 8, order: order, epoch: 2)
            return Array(batch.pixels[(place % 8 * 192)..<((place % 8 + 1) * 192)])
        }
        let distinct = Set(pixels).count
        #expect(distinct > 1)
    }

    @Test("The thread that makes batches leaves with the stream, though its queue is full", .timeLimit(.minutes(20)))
    func leaves() async throws {
        let data = try SmallDataSet()
        weak var feed: DataFeed?
        try {
            let strong = try Self.feed(try data.subset())
            feed = strong
            _ = try strong.batches(depth: 1).next()
        }()
        // The thread alone holds the feed now.
        while feed != nil { await Task.yield() }
    }

    @Test("Fewer images than a batch may have are one batch", arguments: [(8, 8, 4), (37, 37, 1), (100, 37, 1)])
    func smallSets(batchSize: Int, images: Int, batches: Int) throws {
        let data = try SmallDataSet()
        let feed = try Self.feed(try data.subset()) { $0.batchSize = batchSize }
        #expect(feed.imagesPerBatch == images && feed.batchesPerEpoch == batches)
        #expect(try feed.batch(epoch: 0, index: 0).count == images)
    }

    @Test("Above 32 pixels whole pictures are cropped and resized")
    func cropsWholePictures() throws {
        let scratch = try Scratch()
        for name in ["a/rgb-120x80.png", "b/rgb-640x427-q90-420.jpg"] {
            try scratch.write(try TestFixtures.bytes("images/" + name.dropFirst(2)), to: name)
        }
        let preprocessing = try Preprocessing(
            resizeShorterSide: 45, cropSize: 40, mean: [0.5, 0.5, 0.5], standardDeviation: [0.5, 0.5, 0.5])
        var configuration = DataFeed.Configuration(batchSize: 2, seed: 0)
        configuration.augmentation = AugmentationPolicy(crops: true)
        configuration.shuffles = false
        let subset = LabelledSubset(try LabelledImages(at: scratch.folder.path))
        let feed = DataFeed(subset, preprocessing: preprocessing, configuration)
        let batches = try (0..<3).map { try feed.batch(epoch: $0, index: 0).pixels }
        #expect(batches.allSatisfy { $0.count == 2 * 3 * 40 * 40 && $0.allSatisfy { (-1...1).contains($0) } })
        #expect(Set(batches).count == 3)
    }
}

@Suite("Data split")
struct DataSplitTests {
    @Test("A fraction of every class is held back, by the seed")
    func stratifies() throws {
        let data = try SmallDataSet()
        let images = try LabelledImages(at: data.path)
        let split = try DataSplit(images, validation: .fraction(0.2), seed: 3)
        let held = try #require(split.validation)
        #expect((0..<3).map { label in held.labels.count { $0 == label } } == [2, 4, 1])
        #expect((split.training.indices + held.indices).sorted() == Array(images.items.indices))
        #expect(try DataSplit(images, validation: .fraction(0.2), seed: 3).validation?.indices == held.indices)
        #expect(try DataSplit(images, validation: .fraction(0.2), seed: 4).validation?.indices != held.indices)
        #expect(throws: DataSetError.self) { try DataSplit(images, validation: .fraction(0.001), seed: 3) }
        #expect(throws: DataSetError.self) { try DataSplit(images, validation: .fraction(0.999), seed: 3) }
    }

    @Test("A few images of every class are the same few of more, by the seed, and none that are held back")
    func fewLabels() throws {
        let data = try SmallDataSet()
        let images = try LabelledImages(at: data.path)
        func training(_ count: Int?, seed: UInt64 = 3) throws -> LabelledSubset {
            try DataSplit(images, validation: .fraction(0.2), labelsPerClass: count, seed: seed).training
        }
        let all = try training(nil)
        var before: Set<Int> = []
        for count in 1...5 {
            let few = try training(count)
            #expect((0..<3).map { label in few.labels.count { $0 == label } } == [count, count, count])
            #expect(Set(few.indices).isSuperset(of: before) && Set(few.indices).isSubset(of: all.indices))
            #expect(few.indices == few.indices.sorted())
            before = Set(few.indices)
        }
        #expect(try training(3, seed: 4).indices != training(3).indices)
        let least = (0..<3).map { label in all.labels.count { $0 == label } }.min()!
        let error = #expect(throws: DataSetError.self) { try training(least + 1) }
        let problem = "has \(least) images to train on, fewer than the \(least + 1) asked for"
        #expect(error?.message.contains(problem) == true, "\(error?.message ?? "")")
        #expect(try DataSplit(images, validation: .none, labelsPerClass: least, seed: 3).training.count == 3 * least)
    }

    @Test("A folder to validate on is labelled by the training data's names; foreign classes are named")
    func otherFolder() throws {
        let data = try SmallDataSet()
        let images = try LabelledImages(at: data.path)
        let other = try TemporaryFolder()
        try other.write("dog/0.png")
        try other.write("cat/0.png")
        let split = try DataSplit(images, validation: .dataSet(path: other.path), seed: 0)
        #expect(split.training.count == 37)
        #expect(split.validation?.labels == [1, 2])
        try other.write("mouse/0.png")
        let error = #expect(throws: DataSetError.self) {
            try DataSplit(images, validation: .dataSet(path: other.path), seed: 0)
        }
        #expect(error?.message.contains("mouse") == true)
    }

    @Test("The option's text is a part of a whole, or a path")
    func parses() {
        #expect(ValidationSource("0.1") == .fraction(0.1))
        #expect(ValidationSource("held/0.1") == .dataSet(path: "held/0.1"))
        #expect(["0", "1", "-0.5", "nan", "7"].allSatisfy { ValidationSource($0) == nil })
    }

    @Test("Pretraining takes every image, in class folders or not")
    func ignoresClasses() throws {
        let folder = try TemporaryFolder()
        try folder.write("b.png")
        try folder.write("a/0.jpg")
        try folder.write("a/readme")
        let images = try LabelledImages(at: folder.path, ignoringClasses: true)
        #expect(images.items.map(\.path) == ["a/0.jpg", "b.png"] && images.classes.isEmpty)
        #expect(try DataSplit(images, validation: .fraction(0.5), seed: 0).validation?.count == 1)
    }

    @Test("The fingerprint is that of names and sizes, the same in a folder and a tar")
    func fingerprints() throws {
        let folder = try TemporaryFolder()
        try folder.write("data/a/0.png", [1, 2])
        try folder.write("data/b/0.png", [3])
        var tar = TarBuilder()
        tar.add("./b/0.png", [3])
        tar.add("./a/0.png", [1, 2])
        let archive = try folder.write("data.tar", tar.archive)
        let first = try LabelledImages(at: folder.path + "/data").fingerprint()
        #expect(try LabelledImages(at: archive).fingerprint() == first)
        try folder.write("data/b/0.png", [3, 4])
        #expect(try LabelledImages(at: folder.path + "/data").fingerprint() != first)
    }
}
