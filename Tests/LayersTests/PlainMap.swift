import Tensor
import TestFixtures

@testable import Layers

/// A batch of images the plain way, [images][channels][side][side] in double: what the layers are held against.
struct PlainMap {
    let images: Int
    let channels: Int
    let side: Int
    var values: [Double]

    init(images: Int, channels: Int, side: Int) {
        self.images = images
        self.channels = channels
        self.side = side
        values = [Double](repeating: 0, count: images * channels * side * side)
    }

    init(images: Int, channels: Int, side: Int, noise: inout SeededGenerator) {
        self.init(images: images, channels: channels, side: side)
        for i in values.indices { values[i] = Double(noise.nextFloat()) }
    }

    subscript(_ n: Int, _ c: Int, _ y: Int, _ x: Int) -> Double {
        get { values[((n * channels + c) * side + y) * side + x] }
        set { values[((n * channels + c) * side + y) * side + x] = newValue }
    }

    /// Zero outside the image.
    func padded(_ n: Int, _ c: Int, _ y: Int, _ x: Int) -> Double {
        y >= 0 && y < side && x >= 0 && x < side ? self[n, c, y, x] : 0
    }

    /// ‖self − other‖ / ‖other‖.
    func relativeError(to other: PlainMap) -> Double {
        guard values.count == other.values.count else { return .infinity }
        let difference = zip(values, other.values).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
        return (difference / other.values.reduce(0) { $0 + $1 * $1 }).squareRoot()
    }

    func convolved(
        weight: [Float], bias: [Float], outputs: Int, resampling: ConvolutionShape.Resampling, residual: PlainMap?
    ) -> PlainMap {
        let outputSide =
            switch resampling {
            case .none: side
            case .down: (side + 1) / 2
            case .up: side * 2
            }
        var result = PlainMap(images: images, channels: outputs, side: outputSide)
        for n in 0..<images {
            for o in 0..<outputs {
                for y in 0..<outputSide {
                    for x in 0..<outputSide {
                        var sum = Double(bias[o]) + (residual?[n, o, y, x] ?? 0)
                        for i in 0..<channels {
                            for tap in 0..<9 {
                                let (dy, dx) = (tap / 3 - 1, tap % 3 - 1)
                                let value =
                                    switch resampling {
                                    case .none: padded(n, i, y + dy, x + dx)
                                    case .down: padded(n, i, 2 * y + dy, 2 * x + dx)
                                    case .up:
                                        y + dy < 0 || x + dx < 0 ? 0 : padded(n, i, (y + dy) / 2, (x + dx) / 2)
                                    }
                                sum += value * Double(weight[(o * channels + i) * 9 + tap])
                            }
                        }
                        result[n, o, y, x] = sum
                    }
                }
            }
        }
        return result
    }
}

/// A feature map with memory of its own, which the map itself does not keep: tests extend this object's life to the end of
/// their scope.
final class OwnedMap {
    let map: FeatureMap
    private let data: AlignedBuffer
    private let moments: AlignedBuffer
    private let images: Int

    init(images: Int, channels: Int, side: Int) {
        self.images = images
        let size = FeatureMap.dataCount(channels: channels, side: side)
        let momentsSize = FeatureMap.momentsCount(channels: channels, side: side)
        data = AlignedBuffer(count: images * size)
        moments = AlignedBuffer(count: images * momentsSize)
        map = FeatureMap(
            channels: channels, side: side, data: data.pointer, imageStride: size, moments: moments.pointer,
            momentsStride: momentsSize)
    }

    /// Takes a plain map over, moments included, as the layer before would leave it.
    convenience init(_ plain: PlainMap) {
        self.init(images: plain.images, channels: plain.channels, side: plain.side)
        for n in 0..<plain.images {
            for c in 0..<plain.channels {
                for y in 0..<plain.side {
                    for x in 0..<plain.side {
                        map.image(n)[index(c, y, x)] = Float(plain[n, c, y, x])
                    }
                }
            }
            let whole = Segment(at: n * map.bands, before: (n + 1) * map.bands, bandsPerImage: map.bands)
            for block in 0..<map.blocks { whole.recordMoments(map, block: block, kernels: .best) }
        }
    }

    var plain: PlainMap {
        var result = PlainMap(images: images, channels: map.channels, side: map.side)
        for n in 0..<images {
            for c in 0..<map.channels {
                for y in 0..<map.side {
                    for x in 0..<map.side { result[n, c, y, x] = Double(map.image(n)[index(c, y, x)]) }
                }
            }
        }
        return result
    }

    private func index(_ c: Int, _ y: Int, _ x: Int) -> Int {
        ((c / channelBlock * map.side + y) * map.side + x) * channelBlock + c % channelBlock
    }
}
