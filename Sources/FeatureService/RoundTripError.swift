import ImagePipeline

/// The difference between an image and what a pass to the end of the grid and back makes of it.
package struct RoundTripError: Sendable {
    /// Euclidean length of the difference over that of the input, in the model's own numbers.
    package let relative: Double
    /// Mean over all samples of the absolute difference of the two pictures, in levels of 0...255.
    package let meanAbsolute: Double

    /// Compares two normalised images, [3][side][side].
    package init(input: [Float], reconstruction: [Float], preprocessing: Preprocessing) {
        var (difference, norm) = (0.0, 0.0)
        for (before, after) in zip(input, reconstruction) {
            difference += (Double(after) - Double(before)) * (Double(after) - Double(before))
            norm += Double(before) * Double(before)
        }
        // An input of zeros, an image in the mean's colour, has no length to divide by.
        relative = norm > 0 ? (difference / norm).squareRoot() : difference.squareRoot()
        let (before, after) = (preprocessing.picture(of: input), preprocessing.picture(of: reconstruction))
        let sum = zip(before.pixels, after.pixels).reduce(0) { $0 + abs(Int($1.0) - Int($1.1)) }
        meanAbsolute = Double(sum) / Double(before.pixels.count)
    }
}
