import Console
import Extraction
import FeatureService
import Training

/// How exactly a model's pass to the end of its grid and back returns images.
package struct RoundTripQuality: Codable, Equatable, Sendable {
    /// Images that could be used.
    let images: Int
    /// The time at the end of the grid, where the pass turns.
    let time: Float
    /// Evaluations of an image there and back.
    let evaluations: Int
    /// The mean over images of the mean absolute difference of the two pictures, in levels of 0...255.
    let meanAbsoluteError: Double
    /// The largest one of an image.
    let largestMeanAbsoluteError: Double
    /// The mean over images of the Euclidean length of the difference over that of the image, in the model's own numbers.
    let relativeError: Double

    /// Runs images there and back.
    ///
    /// - Parameter count: how many images of the set, evenly spaced.
    /// - Throws: `DataSetError` if an image can't be used and that is not tolerated, or too many can't; `CancellationError`;
    ///   `CommandFailure` if none can be used.
    @MainActor
    package init(_ count: Int, of set: EvaluationSet, _ extraction: FeatureExtraction) async throws {
        let served = extraction.served
        let flow = served.configuration.flow
        var errors: [RoundTripError] = []
        try await set.evenly(count).run(
            extraction, FeatureRequest(.roundTrip(atMost: 2)), as: "round trips"
        ) { _, features in
            guard let input = features?.values.first, let reconstruction = features?.values.last else { return }
            errors.append(
                RoundTripError(
                    input: flow.imageValues(ofState: input), reconstruction: flow.imageValues(ofState: reconstruction),
                    preprocessing: served.preprocessing))
        }
        guard !errors.isEmpty else {
            throw CommandFailure(.unusableData, "none of the images could be used for round trips")
        }
        images = errors.count
        time = served.model.latentTap.time
        evaluations = 2 * served.model.evaluationsPerPass
        meanAbsoluteError = errors.reduce(0) { $0 + $1.meanAbsolute } / Double(errors.count)
        largestMeanAbsoluteError = errors.reduce(0) { max($0, $1.meanAbsolute) }
        relativeError = errors.reduce(0) { $0 + $1.relative } / Double(errors.count)
    }
}

extension RoundTripQuality {
    /// For people.
    var text: String {
        "\(meanAbsoluteError.fixed(digits: 2)) of 255 levels on average, \(largestMeanAbsoluteError.fixed(digits: 2)) at most, "
            + "\((100 * relativeError).fixed(digits: 1)) % of the image's length, of \(images) images to time \(time) and back, "
            + "\(evaluations) evaluations each"
    }
}
