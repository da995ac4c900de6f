/// A cloudy height map by the diamond-square algorithm (Fournier, Fussell and Carpenter 1982) on a torus.
struct PlasmaFractal {
    /// A power of two.
    let side: Int
    /// From 0 to 1, [side][side].
    private(set) var heights: [Double]

    /// A map that covers a square of `length` pixels.
    ///
    /// - Parameters:
    ///   - decay: by what the displacements shrink each time the grid becomes finer.
    ///   - uniform: gives numbers of 0..<1.
    init(covering length: Int, decay: Double, uniform: () -> Double) {
        var side = 2
        while side < length { side *= 2 }
        self.side = side
        heights = [Double](repeating: 0, count: side * side)
        var step = side
        var displacement = 100.0
        while step >= 2 {
            let half = step / 2
            // Amplitudes grow with the square of the displacement, as the benchmark has it.
            func displaced(_ sum: Double) -> Double { sum / 4 + displacement * displacement * (2 * uniform() - 1) }
            // Middles of squares from their corners, then middles of edges from the adjacent corners and middles.
            for (rowStart, columnStart) in [(half, half), (0, half), (half, 0)] {
                for row in stride(from: rowStart, to: side, by: step) {
                    for column in stride(from: columnStart, to: side, by: step) {
                        let isMiddle = rowStart == columnStart
                        heights[row * side + column] = displaced(
                            isMiddle
                                ? height(row - half, column - half) + height(row - half, column + half)
                                    + height(row + half, column - half) + height(row + half, column + half)
                                : height(row - half, column) + height(row + half, column)
                                    + height(row, column - half) + height(row, column + half))
                    }
                }
            }
            step = half
            displacement /= decay
        }
        let (least, greatest) = (heights.min() ?? 0, heights.max() ?? 0)
        heights = heights.map { greatest > least ? ($0 - least) / (greatest - least) : 0 }
    }

    private func height(_ row: Int, _ column: Int) -> Double {
        heights[(row + side) % side * side + (column + side) % side]
    }
}
