import Glibc

/// A rectangle of a normalised image filled with normal noise, pixel by pixel (random erasing, Zhong et al. 2020).
package struct RandomErasing: Sendable, Equatable {
    /// The share of images that it changes, 0...1.
    package var probability: Double

    private static let area = 0.02...1.0 / 3
    /// Logarithms of the least and the greatest ratio of height to width.
    private static let aspect = log(0.3)...log(1 / 0.3)

    package init(probability: Double = 0.25) { self.probability = probability }

    /// Erases a rectangle of 2 to 33 % of the area, or nothing.
    ///
    /// - Parameters:
    ///   - pixels: [3][side][side].
    ///   - side: in pixels.
    package func apply(to pixels: UnsafeMutableBufferPointer<Float>, side: Int, using random: inout RandomStream) {
        precondition(pixels.count == 3 * side * side, "the pixels are not those of a square")
        guard random.chance(probability) else { return }
        for _ in 0..<10 {
            let area = random.uniform(in: Self.area) * Double(side * side)
            let aspect = exp(random.uniform(in: Self.aspect))
            let height = Int((area * aspect).squareRoot().rounded(.toNearestOrEven))
            let width = Int((area / aspect).squareRoot().rounded(.toNearestOrEven))
            guard height < side, width < side else { continue }
            let top = random.index(below: side - height + 1)
            let left = random.index(below: side - width + 1)
            for channel in 0..<3 {
                for row in top..<top + height {
                    let start = (channel * side + row) * side + left
                    for index in start..<start + width { pixels[index] = Float(random.normal()) }
                }
            }
            return
        }
    }
}
