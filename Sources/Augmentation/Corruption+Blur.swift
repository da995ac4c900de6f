import Glibc

/// The image of a point out of focus: a disk whose edge is softened.
struct DefocusKernel {
    /// Pixels to each side of the middle.
    let reach: Int
    /// [2 · reach + 1][2 · reach + 1], of sum 1 as far as the softening keeps it.
    let weights: [Double]

    /// - Parameters:
    ///   - radius: of the disk, in pixels.
    ///   - alias: standard deviation of the Gaussian that softens it, over one pixel to each side at a scale of 1.
    init(radius: Double, alias: Double, scale: Double) {
        let softening = max(1, Int(scale.rounded()))
        let reach = Int(radius.rounded(.down)) + softening
        let width = 2 * reach + 1
        var disk = [Double](repeating: 0, count: width * width)
        for index in disk.indices {
            let (x, y) = (Double(index % width - reach), Double(index / width - reach))
            if x * x + y * y <= radius * radius { disk[index] = 1 }
        }
        let area = disk.reduce(0, +)
        let gaussian = (-softening...softening).map { exp(-Double($0 * $0) / (2 * alias * alias)) }
        let total = gaussian.reduce(0, +)
        let soft = gaussian.map { $0 / total }
        func softened(_ values: [Double], step: Int, position: (Int) -> Int) -> [Double] {
            values.indices.map { index in
                soft.indices.reduce(0) { sum, tap in
                    let offset = tap - softening
                    let place = position(index) + offset
                    return (0..<width).contains(place) ? sum + soft[tap] * values[index + offset * step] : sum
                }
            }
        }
        let rows = softened(disk.map { $0 / area }, step: 1) { $0 % width }
        weights = softened(rows, step: width) { $0 / width }
        self.reach = reach
    }
}

extension SampleField {
    /// Each channel filtered; the picture is continued by reflection about its outermost pixels.
    func filtered(by kernel: DefocusKernel) -> SampleField {
        let width = 2 * kernel.reach + 1
        func reflected(_ place: Int) -> Int {
            guard side > 1 else { return 0 }
            let period = 2 * (side - 1)
            let folded = (place % period + period) % period
            return min(folded, period - folded)
        }
        let taps = kernel.weights.indices.filter { kernel.weights[$0] != 0 }
        var result = [Double](repeating: 0, count: values.count)
        for row in 0..<side {
            for column in 0..<side {
                for tap in taps {
                    let y = reflected(row + tap / width - kernel.reach)
                    let x = reflected(column + tap % width - kernel.reach)
                    for channel in 0..<3 {
                        result[(row * side + column) * 3 + channel] +=
                            kernel.weights[tap] * values[(y * side + x) * 3 + channel]
                    }
                }
            }
        }
        return SampleField(side: side, values: result)
    }

    /// Drawn out in one direction with weights that fall off as half a Gaussian, pixels being taken whole; the border goes
    /// on beyond it. As ImageMagick's motion blur.
    ///
    /// - Parameters:
    ///   - radius: how far, in pixels.
    ///   - deviation: of the Gaussian, in pixels.
    ///   - degrees: the direction, clockwise from the right.
    func smeared(radius: Double, deviation: Double, degrees: Double) -> SampleField {
        let count = 2 * Int(radius.rounded(.up)) + 1
        let weights = (0..<count).map { exp(-Double($0 * $0) / (2 * deviation * deviation)) }
        let total = weights.reduce(0, +)
        let (cosine, sine) = (cos(degrees * .pi / 180), sin(degrees * .pi / 180))
        let steps = (0..<count).map { tap in
            (x: Int((Double(tap) * cosine - 0.5).rounded(.up)), y: Int((Double(tap) * sine - 0.5).rounded(.up)))
        }
        var result = [Double](repeating: 0, count: values.count)
        for row in 0..<side {
            for column in 0..<side {
                for (tap, step) in steps.enumerated() {
                    let y = min(max(row + step.y, 0), side - 1)
                    let x = min(max(column + step.x, 0), side - 1)
                    for channel in 0..<3 {
                        result[(row * side + column) * 3 + channel] +=
                            weights[tap] / total * values[(y * side + x) * 3 + channel]
                    }
                }
            }
        }
        return SampleField(side: side, values: result)
    }

    /// The mean of the picture and of `steps` enlargements of its middle: by 1, 1.01, 1.02, ….
    func zoomBlurred(steps: Int) -> SampleField {
        let step = 1.01 - 1
        var sum = values
        for zoom in (0..<steps).map({ 1 + Double($0) * step }) {
            let enlarged = enlarged(by: zoom)
            for index in sum.indices { sum[index] += enlarged[index] }
        }
        return SampleField(side: side, values: sum.map { $0 / Double(steps + 1) })
    }

    /// The middle of the picture, enlarged by linear interpolation between pixels whose outermost ones stay outermost.
    private func enlarged(by zoom: Double) -> [Double] {
        let kept = Int((Double(side) / zoom).rounded(.up))
        let start = (side - kept) / 2
        let length = Int((Double(kept) * zoom).rounded(.toNearestOrEven))
        let ratio = length > 1 ? Double(kept - 1) / Double(length - 1) : 1
        let places = (0..<side).map { output -> (low: Int, high: Int, part: Double) in
            let position = min(Double(output + (length - side) / 2) * ratio, Double(kept - 1))
            let low = Int(position)
            return (start + low, start + min(low + 1, kept - 1), position - Double(low))
        }
        var result = [Double](repeating: 0, count: values.count)
        for (row, y) in places.enumerated() {
            for (column, x) in places.enumerated() {
                for channel in 0..<3 {
                    func value(_ y: Int) -> Double {
                        let (left, right) = (
                            values[(y * side + x.low) * 3 + channel], values[(y * side + x.high) * 3 + channel]
                        )
                        return left + x.part * (right - left)
                    }
                    let (top, bottom) = (value(y.low), value(y.high))
                    result[(row * side + column) * 3 + channel] = top + y.part * (bottom - top)
                }
            }
        }
        return result
    }
}
