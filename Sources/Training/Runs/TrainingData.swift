import Augmentation
import ImagePipeline
private import Synchronization

/// The images of a run, divided and described.
package struct TrainingData {
    package let images: LabelledImages
    package let split: DataSplit
    /// What the loss of the flow is taken on in addition to classes, if not on the same images.
    package let flowImages: LabelledImages?
    /// What a run that continues must find again.
    package let settings: TrainingSettings.Images
    package let damage: DamagePolicy
    /// Those that the feeds below come across.
    package let damageReport = DamageReport()

    /// Divides and describes a data set.
    ///
    /// - Parameters:
    ///   - images: what to learn, and the classes to learn.
    ///   - validation: what to validate on.
    ///   - labels: the table that gave the images their classes; nil if folders did.
    ///   - validationLabels: the table of a data set that is validated on; nil if its folders are its classes.
    ///   - links: which links inside that data set to follow.
    ///   - seed: the run's.
    ///   - splitSeed: chooses the images that a fraction holds back, and those of `labelsPerClass`.
    ///   - labelsPerClass: how many images of every class to train on; nil for all.
    ///   - flowImages: what the loss of the flow is taken on; nil for the same images.
    /// - Throws: `DataSetError`.
    package init(
        _ images: LabelledImages, validation: ValidationSource, labels: ImageLabels?, validationLabels: ImageLabels?,
        following links: FollowedLinks, seed: Int, splitSeed: Int, labelsPerClass: Int? = nil,
        flowImages: LabelledImages? = nil, damage: DamagePolicy
    ) throws {
        self.images = images
        self.damage = damage
        self.flowImages = flowImages
        split = try DataSplit(
            images, validation: validation, labels: validationLabels, following: links,
            labelsPerClass: labelsPerClass, seed: UInt64(splitSeed))
        func digits(_ fingerprint: some CustomStringConvertible) -> String {
            String(fingerprint.description.prefix(16))
        }
        var settings = TrainingSettings.Images(training: digits(try images.fingerprint()))
        switch validation {
        case .none: break
        case .fraction(let fraction):
            settings.heldBack = fraction
        case .dataSet: settings.validation = digits(try split.validation!.images.fingerprint())
        }
        settings.labelsPerClass = labelsPerClass
        if settings.heldBack != nil || labelsPerClass != nil {
            // State files from before --split-seed record only the fraction; the run's seed divided their images.
            settings.splitSeed = splitSeed == seed ? nil : splitSeed
        }
        settings.flow = try flowImages.map { digits(try $0.fingerprint()) }
        settings.labels = labels.map { digits($0.fingerprint) }
        settings.validationLabels = validationLabels.map { digits($0.fingerprint) }
        self.settings = settings
    }

    /// The batches to train on.
    ///
    /// - Parameter learnsFlow: whether they have images for the loss of the flow too.
    package func trainingFeed(
        batchSize: Int, seed: UInt64, _ preprocessing: Preprocessing, _ augmentation: AugmentationPolicy,
        balancesClasses: Bool = false, learnsFlow: Bool = false
    ) -> DataFeed {
        var configuration = DataFeed.Configuration(batchSize: batchSize, seed: seed)
        configuration.augmentation = augmentation
        configuration.balancesClasses = balancesClasses
        configuration.damage = damage
        if learnsFlow {
            configuration.flowImages =
                flowImages.map { images in
                    var plain = configuration
                    plain.augmentation = AugmentationPolicy(flips: augmentation.flips)
                    plain.balancesClasses = false
                    return .other(watched(DataFeed(LabelledSubset(images), preprocessing: preprocessing, plain)))
                } ?? .own
        }
        return watched(DataFeed(split.training, preprocessing: preprocessing, configuration))
    }

    private func watched(_ feed: DataFeed) -> DataFeed {
        damageReport.watch(feed)
        return feed
    }

    /// What is judged on, in a fixed order.
    package func validationFeed(_ preprocessing: Preprocessing) -> DataFeed? {
        split.validation.map { wholeFeed($0, preprocessing) }
    }

    /// All images of a subset once, in their order and unchanged.
    package func wholeFeed(_ subset: LabelledSubset, _ preprocessing: Preprocessing) -> DataFeed {
        var configuration = DataFeed.Configuration(batchSize: 128, seed: 0)
        configuration.shuffles = false
        configuration.remainder = .kept
        configuration.damage = damage
        return watched(DataFeed(subset, preprocessing: preprocessing, configuration))
    }
}

/// Tells of the damaged images that the feeds of a run come across.
package final class DamageReport: Sendable {
    private let feeds = Mutex<[DataFeed]>([])

    func watch(_ feed: DataFeed) { feeds.withLock { $0.append(feed) } }

    /// How many damaged images were left out so far.
    package var count: Int { feeds.withLock { $0.reduce(0) { $0 + $1.damaged.count } } }

    /// Gives a line for every image that was found since this was last called.
    package func tellNew(_ tell: (String) -> Void) {
        for feed in feeds.withLock({ $0 }) {
            for error in feed.damaged.takeNew() { tell("headwater: skipped: \(error)") }
        }
    }
}
