import Console
import Extraction
import FeatureService
import ImagePipeline
import ReverseODE
import Training

extension EvaluationSet {
    /// Reads taps of all its images where noise is added to them, instead of the flow that leads there.
    ///
    /// - Parameters:
    ///   - noise: that of an image depends on the seed and the image's index in the data set.
    ///   - classes: class names that labels refer to; names not among them get new labels.
    /// - Throws: `DataSetError` if an image can't be used and that is not tolerated, or too many can't; `CancellationError`.
    package func measure(
        _ extraction: FeatureExtraction, taps: [Tap], after noise: GenerationNoise, classes: [String], batch: Int,
        as activity: String
    ) async throws -> Measured {
        let (served, computation) = (extraction.served, extraction.computation)
        let resolved = try taps.map { try served.model.resolve($0) }
        var measured = Measured(
            embeddings: resolved.map { LabelledEmbeddings(dimension: $0.dimension) }, taps: resolved, hasHead: false)
        let integrator = ReverseIntegrator(
            model: served.model, capacity: batch, kernels: computation.kernels, pool: computation.pool)
        let labels = Self.labels(of: images.classes, among: classes)
        let damaged = DamagedImages(of: indices.count, in: images.path, damage)
        let bar = ProgressBar(activity, of: indices.count)
        defer { bar.erase() }
        func path(_ position: Int) -> String { images.items[indices[position]].path }
        func skip(_ position: Int, _ error: DataSetError) throws {
            bar.report("headwater: skipped: \(error)")
            measured.unusable.insert(indices[position])
            try damaged.add(position, error)
        }
        for start in stride(from: 0, to: indices.count, by: batch) {
            try Task.checkCancellation()
            var known: [(input: [Float], position: Int)] = []
            for position in start..<min(start + batch, indices.count) {
                do {
                    let bytes = try images.bytes(
                        at: indices[position], maximumBytes: FeatureExtraction.maximumBytes)
                    let input = try served.preprocessing.input(
                        for: bytes, limits: images.limits, decoding: extraction.decoding)
                    known.append((input, position))
                } catch let error as ImageError {
                    try skip(position, DataSetError("\(path(position)): \(error.message)"))
                } catch let error as DataSetError {
                    try skip(position, error)
                }
            }
            let features = integrator.features(
                of: known.map { ($0.input, noise.numbers(ofImage: indices[$0.position], count: $0.input.count)) },
                taps: resolved)
            for (image, values) in zip(known, features) {
                guard values.allSatisfy({ $0.allSatisfy(\.isFinite) }) else {
                    let problem = "the model's numbers became infinite or NaN"
                    try skip(image.position, DataSetError("\(path(image.position)): \(problem)"))
                    continue
                }
                measured.images += 1
                let label = labels[images.items[indices[image.position]].label]
                for tap in resolved.indices { measured.embeddings[tap].append(values[tap], label: label) }
            }
            bar.update(min(start + batch, indices.count))
        }
        measured.seconds = bar.elapsed / .seconds(1)
        return measured
    }
}
