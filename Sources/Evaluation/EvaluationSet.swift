import Console
import Extraction
import FeatureService
import ImagePipeline
import ReverseODE
import Training

/// A data set, or an evenly spaced part of it.
@MainActor
package struct EvaluationSet {
    /// What an extraction gives of it.
    package struct Measured {
        var tally = EvaluationTally()
        var confusion = ConfusionMatrix()
        /// For each tap, the embeddings of all images that could be used.
        var embeddings: [LabelledEmbeddings]
        let taps: [ResolvedTap]
        let hasHead: Bool
        /// Images that could be used.
        package internal(set) var images = 0
        /// Indices of the images that could not be used.
        package internal(set) var unusable: Set<Int> = []
        var seconds = 0.0
    }

    package let images: LabelledImages
    /// Which of its images.
    private(set) var indices: [Int]
    let damage: DamagePolicy

    /// - Parameters:
    ///   - limit: the most images to use; nil for all.
    ///   - damage: what to do about damaged images.
    package init(_ images: LabelledImages, limit: Int?, _ damage: DamagePolicy) {
        self.images = images
        self.damage = damage
        indices = Self.evenly(limit ?? .max, of: Array(images.items.indices))
    }

    /// How many images.
    package var count: Int { indices.count }

    /// At most so many of its images, evenly spaced.
    func evenly(_ limit: Int) -> EvaluationSet {
        var set = self
        set.indices = Self.evenly(limit, of: indices)
        return set
    }

    private static func evenly(_ limit: Int, of indices: [Int]) -> [Int] {
        let count = min(limit, indices.count)
        return (0..<count).map { indices[$0 * indices.count / count] }
    }

    package func without(_ unusable: Set<Int>) -> EvaluationSet {
        var set = self
        set.indices.removeAll(where: unusable.contains)
        return set
    }

    /// Reads all its images, as a model sees them, with the indices of their classes.
    ///
    /// - Throws: `DataSetError` if an image can't be used and that is not tolerated, or too many can't.
    package func inputs(for preprocessing: Preprocessing) throws -> [(pixels: [Float], label: Int)] {
        let damaged = DamagedImages(of: indices.count, in: images.path, damage)
        return try indices.enumerated().compactMap { position, index in
            do {
                let bytes = try images.bytes(at: index, maximumBytes: FeatureExtraction.maximumBytes)
                let image = try ImageDecoder.decode(bytes, limits: images.limits)
                return (preprocessing.input(for: image), images.items[index].label)
            } catch let error as ImageError {
                try damaged.add(position, DataSetError("\(images.items[index].path): \(error.message)"))
                return nil
            }
        }
    }

    /// Runs all its images through the model.
    ///
    /// - Throws: `DataSetError` if an image can't be used and that is not tolerated, or too many can't.
    /// - Parameters:
    ///   - logitIndices: the logit of each class; nil to leave the head out.
    ///   - predictions: gets what the head says of every image.
    ///   - classes: class names that labels refer to, the set's own if not given; names not among them get new labels.
    package func measure(
        _ extraction: FeatureExtraction, taps: [Tap], logitIndices: [Int]?, into predictions: PredictionFile? = nil,
        classes: [String]? = nil, as activity: String
    ) async throws -> Measured {
        let model = extraction.served.model
        let resolved = try taps.map { try model.resolve($0) }
        var measured = Measured(
            embeddings: resolved.map { LabelledEmbeddings(dimension: $0.dimension) }, taps: resolved,
            hasHead: logitIndices != nil)
        let labels = Self.labels(of: images.classes, among: classes ?? images.classes)
        let request = FeatureRequest(taps: taps, wantsLogits: logitIndices != nil)
        let elapsed = try await run(extraction, request, as: activity) { position, features in
            guard let features else {
                measured.unusable.insert(indices[position])
                return
            }
            let item = images.items[indices[position]]
            measured.images += 1
            for (tap, values) in features.values.enumerated() {
                measured.embeddings[tap].append(values, label: labels[item.label])
            }
            if let logitIndices, let logits = features.logits {
                let answer = logitIndices[item.label]
                measured.tally.add(logits: logits, answer: answer)
                measured.confusion.add(logits: logits, answer: answer)
                try predictions?.append(item.path, logits: logits, answer: answer)
            }
        }
        measured.seconds = elapsed / .seconds(1)
        return measured
    }

    /// Computes the features of all its images.
    ///
    /// - Parameters:
    ///   - input: makes the model's input of an image's bytes; called on other threads.
    ///   - deliver: takes the features of the image at a position of the set, in order; nil for an image that can't be used.
    /// - Returns: how long it took.
    /// - Throws: `DataSetError` if an image can't be used and that is not tolerated, or too many can't; what `deliver` throws.
    @discardableResult
    func run(
        _ extraction: FeatureExtraction, _ request: FeatureRequest, as activity: String,
        input: @escaping @Sendable (_ bytes: [UInt8]) throws -> FeatureInput = { .encoded($0) },
        deliver: (_ position: Int, _ features: ImageFeatures?) throws -> Void
    ) async throws -> Duration {
        let (images, indices) = (images, indices)
        let damaged = DamagedImages(of: indices.count, in: images.path, damage)
        let bar = ProgressBar(activity, of: indices.count)
        defer { bar.erase() }
        try await extraction.run(
            count: indices.count, request,
            inputs: { try input(try images.bytes(at: indices[$0], maximumBytes: FeatureExtraction.maximumBytes)) }
        ) { position, result in
            switch result {
            case .failure(let problem):
                let error = DataSetError(problem.located(at: images.items[indices[position]].path))
                bar.report("headwater: skipped: \(error)")
                try damaged.add(position, error)
                try deliver(position, nil)
            case .success(let features): try deliver(position, features)
            }
            bar.update(position + 1)
        }
        return bar.elapsed
    }

    static func labels(of own: [String], among classes: [String]) -> [Int] {
        var known = Dictionary(uniqueKeysWithValues: classes.enumerated().map { ($1, $0) })
        return own.map { name in
            let label = known[name] ?? known.count
            known[name] = label
            return label
        }
    }
}
