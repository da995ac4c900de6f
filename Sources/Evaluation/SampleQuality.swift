import Console
import Extraction
import FeatureService
import ImagePipeline
import ReverseODE
import Training

/// How far the images that a flow makes of noise are from real ones, in an embedding that doesn't depend on the flow.
package struct SampleQuality: Codable, Equatable, Sendable {
    /// Samples, and about as many real images in each half.
    let samples: Int
    let seed: Int
    /// Evaluations of an image on its way from noise.
    let evaluations: Int
    /// The model whose default tap embeds the images: name, version and tap.
    let embedding: String
    /// Numbers of an embedding.
    let dimension: Int
    /// Real images that could be used, both halves together.
    let images: Int
    /// The squared Fréchet distance between samples and the first half of the real images.
    let distance: Double
    /// The same between the two halves of the real images: what perfect samples would come to.
    let realDistance: Double

    /// The largest embedding whose covariance is computed.
    package static let largestDimension = 4096
}

extension SampleQuality {
    /// What makes the samples, and what embeds them.
    @MainActor
    package struct Source {
        /// On a grid that reaches noise.
        let generator: ServedModel
        let embedding: FeatureExtraction
        package let tap: ResolvedTap
        private let preprocessing: Preprocessing

        /// - Throws: `CommandFailure` if the embedding is too large, or `TapError`.
        package init(_ generator: ServedModel, embeddedBy embedding: FeatureExtraction) throws {
            precondition(generator.model.grid.reachesNoise)
            (self.generator, self.embedding) = (generator, embedding)
            preprocessing = embedding.served.preprocessing
            tap = try embedding.served.model.defaultTap()
            guard tap.dimension <= SampleQuality.largestDimension else {
                throw CommandFailure(
                    .unusableData,
                    "the embedding \(tap.name) of \(embedding.served.version.name) has \(tap.dimension) numbers, more than "
                        + "\(SampleQuality.largestDimension); give --embedding-model a model with a smaller default tap, which "
                        + "'headwater convert --default-tap' makes")
            }
        }

        /// A picture resized and cropped as the generator's model sees it, as samples already are, in the form of the embedding's
        /// input.
        nonisolated fileprivate func input(of picture: RGBImage) -> FeatureInput {
            .normalized(preprocessing.input(for: picture))
        }
    }

    /// Makes samples and measures them.
    ///
    /// - Parameters:
    ///   - count: how many samples, at least 2.
    ///   - real: of which 2·`count` images are taken, evenly spaced and alternately for each half.
    ///   - batch: samples made together.
    /// - Throws: `CancellationError`; `DataSetError` if an image can't be used and that is not tolerated, or too many can't;
    ///   `CommandFailure` if a sample isn't finite.
    @MainActor
    package init(
        _ count: Int, seed: Int, from source: Source, comparedWith real: EvaluationSet, batch: Int
    ) async throws {
        let (halves, used) = try await Self.halves(of: real, count: count, source)
        let made = try await Self.samples(count, seed: UInt64(seed), source, batch: batch)
        let distributions = (halves + [made]).map { NormalDistribution(of: $0, dimension: source.tap.dimension) }
        guard let distance = distributions[2].squaredFrechetDistance(to: distributions[0]),
            let realDistance = distributions[1].squaredFrechetDistance(to: distributions[0])
        else { throw CommandFailure(.internalFault, "the Fréchet distance is not finite") }
        (self.distance, self.realDistance) = (distance, realDistance)
        samples = count
        self.seed = seed
        evaluations = source.generator.model.evaluationsPerPass
        let version = source.embedding.served.version
        embedding = "\(version.name) (\(version.label)), \(source.tap.name)"
        dimension = source.tap.dimension
        images = used
    }

    /// The embeddings of the two halves of real images, and how many images they are of.
    @MainActor
    private static func halves(
        of real: EvaluationSet, count: Int, _ source: Source
    ) async throws -> (halves: [[Float]], used: Int) {
        var halves: [[Float]] = [[], []]
        var used = 0
        let (generator, decoding, limits) = (source.generator, source.embedding.decoding, real.images.limits)
        try await real.evenly(2 * count).run(source.embedding, FeatureRequest(), as: "embedding images") { bytes in
            source.input(
                of: try generator.preprocessing.croppedImage(for: bytes, limits: limits, decoding: decoding))
        } deliver: { position, features in
            guard let features else { return }
            halves[position % 2] += features.values[0]
            used += 1
        }
        guard halves.allSatisfy({ $0.count > source.tap.dimension }) else {
            throw CommandFailure(.unusableData, "too few of the images could be used to compare samples with them")
        }
        return (halves, used)
    }

    /// The embeddings of samples.
    @MainActor
    private static func samples(_ count: Int, seed: UInt64, _ source: Source, batch: Int) async throws -> [Float] {
        let (model, computation) = (source.generator.model, source.embedding.computation)
        let integrator = ReverseIntegrator(
            model: model, capacity: batch, kernels: computation.kernels, pool: computation.pool)
        let noise = GenerationNoise(seed: seed)
        var embeddings: [Float] = []
        let bar = ProgressBar("sampling", of: count)
        defer { bar.erase() }
        for start in stride(from: 0, to: count, by: batch) {
            let indices = start..<min(start + batch, count)
            let images = try integrator.images(indices, from: noise) { try Task.checkCancellation() }
            for (index, values) in zip(indices, images) where !values.allSatisfy(\.isFinite) {
                throw CommandFailure(
                    .unusableData,
                    "sample \(index) became infinite or NaN on the way from noise; convert the model to a finer grid")
            }
            let inputs = images.map { source.input(of: source.generator.preprocessing.picture(of: $0)) }
            try await source.embedding.run(count: inputs.count, FeatureRequest(), inputs: { inputs[$0] }) {
                index, result in
                switch result {
                case .success(let features): embeddings += features.values[0]
                case .failure(let problem):
                    throw CommandFailure(
                        .unusableData, "the embedding of sample \(indices.lowerBound + index) failed: \(problem)")
                }
            }
            bar.update(indices.upperBound)
        }
        return embeddings
    }
}

extension SampleQuality {
    /// For people: the row for the samples, and the row for real images.
    var text: (samples: String, real: String) {
        (
            "\(Self.rounded(distance)) squared Fréchet distance between \(samples) samples and as many images, "
                + "embedded by \(embedding) (\(dimension) numbers)",
            "\(Self.rounded(realDistance)) between these images and as many others; perfect samples would have this "
                + "distance"
        )
    }

    private static func rounded(_ value: Double) -> String {
        let scale = value < 10 ? 1000.0 : 10
        return "\((value * scale).rounded() / scale)"
    }
}
