import Glibc
import ImagePipeline

/// Where in an image each pixel of another comes from: (x, y) from (a·x + b·y + c, d·x + e·y + f), pixels' centres lying
/// at halves.
struct AffineTransform: Sendable, Equatable {
    let a, b, c, d, e, f: Double

    /// Rows shifted, by `factor` pixels from one to the next.
    static func shearingX(_ factor: Double) -> AffineTransform { .init(a: 1, b: factor, c: 0, d: 0, e: 1, f: 0) }

    /// Columns shifted, by `factor` pixels from one to the next.
    static func shearingY(_ factor: Double) -> AffineTransform { .init(a: 1, b: 0, c: 0, d: factor, e: 1, f: 0) }

    /// To the left and upwards by so many pixels.
    static func translating(x: Double, y: Double) -> AffineTransform { .init(a: 1, b: 0, c: x, d: 0, e: 1, f: y) }

    /// Counterclockwise about the centre of an image of that size.
    static func rotating(degrees: Double, width: Int, height: Int) -> AffineTransform {
        let angle = -degrees * .pi / 180
        let (cosine, sine) = (cos(angle), sin(angle))
        let (x, y) = (Double(width) / 2, Double(height) / 2)
        return AffineTransform(
            a: cosine, b: sine, c: x - cosine * x - sine * y, d: -sine, e: cosine, f: y + sine * x - cosine * y)
    }
}

extension RGBImage {
    /// An image of the same size whose pixels come from where `transform` says, by bicubic interpolation (a = -1) as
    /// Pillow's `Image.transform` has it, samples truncated.
    ///
    /// - Parameter fill: red, green and blue of what comes from outside.
    func transformed(by transform: AffineTransform, fill: [UInt8]) -> RGBImage {
        precondition(fill.count == 3, "a colour has three samples")
        return RGBImage(width: width, height: height) { buffer in
            pixels.withUnsafeBufferPointer { source in
                for row in 0..<height {
                    for column in 0..<width {
                        let (x, y) = (Double(column) + 0.5, Double(row) + 0.5)
                        let sourceX = transform.a * x + transform.b * y + transform.c
                        let sourceY = transform.d * x + transform.e * y + transform.f
                        let target = (row * width + column) * 3
                        if (0..<Double(width)).contains(sourceX), (0..<Double(height)).contains(sourceY) {
                            interpolate(source, x: sourceX - 0.5, y: sourceY - 0.5, into: buffer, at: target)
                        } else {
                            for channel in 0..<3 { buffer[target + channel] = fill[channel] }
                        }
                    }
                }
            }
        }
    }

    /// - Parameters:
    ///   - x, y: between -0.5 and the last column's and row's half; beyond the border its pixels go on.
    private func interpolate(
        _ source: UnsafeBufferPointer<UInt8>, x: Double, y: Double, into buffer: UnsafeMutableBufferPointer<UInt8>,
        at target: Int
    ) {
        let (left, top) = (Int(x.rounded(.down)), Int(y.rounded(.down)))
        let (dx, dy) = (x - Double(left), y - Double(top))
        func column(_ offset: Int) -> Int { min(max(left + offset, 0), width - 1) * 3 }
        func line(_ offset: Int, _ channel: Int) -> Double {
            let start = min(max(top + offset, 0), height - 1) * width * 3 + channel
            return Self.cubic(
                Double(source[start + column(-1)]), Double(source[start + column(0)]),
                Double(source[start + column(1)]), Double(source[start + column(2)]), dx)
        }
        for channel in 0..<3 {
            let value = Self.cubic(line(-1, channel), line(0, channel), line(1, channel), line(2, channel), dy)
            buffer[target + channel] = value <= 0 ? 0 : value >= 255 ? 255 : UInt8(value)
        }
    }

    /// Between the second and the third of four numbers, at `position` 0...1.
    private static func cubic(_ v1: Double, _ v2: Double, _ v3: Double, _ v4: Double, _ position: Double) -> Double {
        let linear = v3 - v1
        let square = 2 * (v1 - v2) + v3 - v4
        let cube = v2 - v1 - v3 + v4
        return v2 + position * (linear + position * (square + position * cube))
    }
}
