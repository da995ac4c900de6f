import Glibc
import ImagePipeline

extension RGBImage {
    /// The columns and rows that begin at `x`, `y`; what lies outside the image is black.
    package func cropped(x: Int, y: Int, width: Int, height: Int) -> RGBImage {
        precondition(width > 0 && height > 0, "an image has at least one pixel")
        var result = [UInt8](repeating: 0, count: width * height * 3)
        let columns = max(x, 0)..<max(min(x + width, self.width), max(x, 0))
        for row in max(y, 0)..<max(min(y + height, self.height), max(y, 0)) where !columns.isEmpty {
            let source = (row * self.width + columns.lowerBound) * 3
            let target = ((row - y) * width + columns.lowerBound - x) * 3
            result.withUnsafeMutableBufferPointer { result in
                pixels.withUnsafeBufferPointer { pixels in
                    (result.baseAddress! + target).update(from: pixels.baseAddress! + source, count: columns.count * 3)
                }
            }
        }
        return RGBImage(width: width, height: height, pixels: result)
    }

    /// A window of the image's own size at a random place of the image framed in `padding` black pixels.
    func randomlyShifted(by padding: Int, using random: inout RandomStream) -> RGBImage {
        let x = random.index(below: 2 * padding + 1) - padding
        let y = random.index(below: 2 * padding + 1) - padding
        return cropped(x: x, y: y, width: width, height: height)
    }

    /// A random part of `scale` of the image's area and a ratio of width to height within `ratio`, resized to a square:
    /// the random resized crop of Szegedy et al. (2015) as torchvision draws it. After ten parts that don't fit, the
    /// centre, in the allowed ratio nearest to the image's own.
    func randomlyResized(
        to side: Int, scale: ClosedRange<Double>, ratio: ClosedRange<Double>, using random: inout RandomStream
    ) -> RGBImage {
        for _ in 0..<10 {
            let area = Double(width * height) * random.uniform(in: scale)
            let proportion = ratio.lowerBound * pow(ratio.upperBound / ratio.lowerBound, random.uniform())
            let columns = Int((area * proportion).squareRoot().rounded(.toNearestOrEven))
            let rows = Int((area / proportion).squareRoot().rounded(.toNearestOrEven))
            guard (1...width).contains(columns), (1...height).contains(rows) else { continue }
            let x = random.index(below: width - columns + 1)
            let y = random.index(below: height - rows + 1)
            return cropped(x: x, y: y, width: columns, height: rows).resized(width: side, height: side)
        }
        let proportion = min(max(Double(width) / Double(height), ratio.lowerBound), ratio.upperBound)
        let columns = min(width, max(1, Int((Double(height) * proportion).rounded())))
        let rows = min(height, max(1, Int((Double(width) / proportion).rounded())))
        return cropped(x: (width - columns) / 2, y: (height - rows) / 2, width: columns, height: rows)
            .resized(width: side, height: side)
    }

    /// Left and right exchanged.
    package func mirrored() -> RGBImage { oriented(.topRight) }
}
