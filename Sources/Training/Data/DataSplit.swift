import Augmentation
import UntrustedText

/// Some images of a data set with the labels that a model is to give them.
package struct LabelledSubset: Sendable {
    package let images: LabelledImages
    /// Indices of its items, ascending.
    package let indices: [Int]
    package let labels: [Int]

    package var count: Int { indices.count }

    func prefix(_ count: Int) -> LabelledSubset {
        LabelledSubset(images: images, indices: Array(indices.prefix(count)), labels: Array(labels.prefix(count)))
    }
}

extension LabelledSubset {
    /// All images of a set, with its own labels.
    init(_ images: LabelledImages) { self.init(images, indices: Array(images.items.indices)) }

    init(_ images: LabelledImages, indices: [Int]) {
        self.init(images: images, indices: indices, labels: indices.map { images.items[$0].label })
    }

    /// All images of a set, with the labels that another set has for the same classes. If the other set has been restricted to some
    /// classes, so is this one.
    ///
    /// - Throws: `DataSetError` if it has none of the classes of the other, or one that the other, unrestricted, doesn't know.
    init(_ images: LabelledImages, labelledAs other: LabelledImages) throws(DataSetError) {
        let labelOfClass = Dictionary(uniqueKeysWithValues: other.classes.enumerated().map { ($1, $0) })
        if !other.isRestricted, let unknown = images.classes.first(where: { labelOfClass[$0] == nil }) {
            throw DataSetError(
                "\(images.path): has the class \(unknown), which the training data lacks; use the same class names in both"
            )
        }
        let known = images.items.indices.compactMap { index -> (index: Int, label: Int)? in
            guard !images.classes.isEmpty else { return (index, 0) }
            return labelOfClass[images.classes[images.items[index].label]].map { (index, $0) }
        }
        guard !known.isEmpty else {
            throw DataSetError("\(images.path): has none of the classes \(listed(other.classes)), which are trained on")
        }
        self.init(images: images, indices: known.map(\.index), labels: known.map(\.label))
    }
}

/// The images that a training run is validated on.
package enum ValidationSource: Sendable, Equatable {
    /// Nothing.
    case none
    /// That part of every class, above 0 and below 1.
    case fraction(Double)
    /// The data set at a path, whose classes are among the training data's.
    case dataSet(path: String)

    /// Reads `0.1`, or a path; nil for a number that is not between 0 and 1.
    package init?(_ text: String) {
        guard let fraction = Double(text) else {
            self = .dataSet(path: text)
            return
        }
        guard fraction > 0, fraction < 1 else { return nil }
        self = .fraction(fraction)
    }
}

/// A data set divided into images for training and images for validation.
package struct DataSplit: Sendable {
    package let training: LabelledSubset
    /// The images for validation; nil if there are none.
    package let validation: LabelledSubset?

    /// Divides `images`. Which image goes where doesn't depend on whether it is damaged.
    ///
    /// A fraction holds back the images of every class whose paths have the lowest seeded hashes. So the same seed gives the same
    /// parts wherever the data are, and few images change sides when some are added.
    ///
    /// - Parameters:
    ///   - labels: the classes of a validation set of its own, if not by its folders.
    ///   - links: which links in such a set are followed.
    ///   - labelsPerClass: how many images of every class are trained on: those with the next hashes, so that fewer are always some
    ///     of more; nil for all.
    /// - Throws: `DataSetError` if the validation set can't be opened or has foreign classes, if nothing would be left
    ///   on one of the sides, or if a class has fewer images than are asked for.
    init(
        _ images: LabelledImages, validation: ValidationSource, labels: ImageLabels? = nil,
        following links: FollowedLinks = .insideFolder, labelsPerClass: Int? = nil, seed: UInt64
    ) throws(DataSetError) {
        let available: LabelledSubset
        switch validation {
        case .none:
            available = LabelledSubset(images)
            self.validation = nil
        case .dataSet(let path):
            available = LabelledSubset(images)
            let other = try LabelledImages(
                at: path, ignoringClasses: images.classes.isEmpty, labels: labels, following: links,
                formats: images.formats)
            self.validation = try LabelledSubset(other, labelledAs: images)
        case .fraction(let fraction):
            let held = Self.heldBack(images, fraction, seed: seed)
            guard !held.isEmpty, held.count < images.items.count else {
                throw DataSetError(
                    "\(images.path): \(images.items.count) images are too few to hold \(fraction) of them back; "
                        + "give a folder to validate on")
            }
            available = LabelledSubset(images, indices: images.items.indices.filter { !held.contains($0) })
            self.validation = LabelledSubset(images, indices: held.sorted())
        }
        training =
            if let labelsPerClass {
                try Self.first(labelsPerClass, ofEachClassIn: available, seed: seed)
            } else { available }
    }

    private static func first(
        _ count: Int, ofEachClassIn subset: LabelledSubset, seed: UInt64
    ) throws(DataSetError) -> LabelledSubset {
        let images = subset.images
        let byClass = Dictionary(grouping: subset.indices) { images.items[$0].label }
        var chosen: [Int] = []
        for (label, name) in images.classes.enumerated() {
            let members = byClass[label] ?? []
            guard members.count >= count else {
                throw DataSetError(
                    "\(images.path): the class \(name) has \(members.count) images to train on, fewer than the "
                        + "\(count) asked for; ask for at most \(members.count), or leave the class out")
            }
            chosen += ranked(members, of: images, seed: seed).prefix(count)
        }
        return LabelledSubset(images, indices: chosen.sorted())
    }

    private static func heldBack(_ images: LabelledImages, _ fraction: Double, seed: UInt64) -> Set<Int> {
        let byClass = Dictionary(grouping: images.items.indices) { images.items[$0].label }
        var held: Set<Int> = []
        for members in byClass.values {
            let count = Int((Double(members.count) * fraction).rounded())
            held.formUnion(ranked(members, of: images, seed: seed).prefix(count))
        }
        return held
    }

    /// Items by ascending hashes of their paths.
    private static func ranked(_ members: [Int], of images: LabelledImages, seed: UInt64) -> [Int] {
        members.map { (hash: hash(images.items[$0].path, seed: seed), index: $0) }.sorted { $0 < $1 }.map(\.index)
    }

    /// FNV-1a, scattered by the seed.
    private static func hash(_ path: String, seed: UInt64) -> UInt64 {
        let hash = path.pathBytes.reduce(0xCBF2_9CE4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01B3 }
        var stream = RandomStream(seed: seed, Int(bitPattern: UInt(hash)))
        return stream.next()
    }
}
