import CKernels
import Tensor

/// Consecutive bands of one image: what a worker takes up at a time.
struct Segment {
    /// Its first band, counted over all images.
    let unit: Int
    let image: Int
    let bands: Range<Int>

    /// The segment that starts at unit `unit`, units counting the bands of all images, and ends before `end`.
    init(at unit: Int, before end: Int, bandsPerImage: Int) {
        self.unit = unit
        image = unit / bandsPerImage
        let first = unit % bandsPerImage
        bands = first..<min(bandsPerImage, first + end - unit)
    }

    /// Does what a layer does with one output block that has just been written and is still in the cache.
    func finish(_ output: FeatureMap, block: Int, _ epilogue: Epilogue, kernels: Kernels) {
        switch epilogue {
        case .none: return
        case .moments: recordMoments(output, block: block, kernels: kernels)
        case .activationGradient(let gradient):
            gradient.apply(to: output, image: image, block: block, bands: bands, kernels: kernels)
        }
    }

    /// Leaves the moments of one output block.
    func recordMoments(_ output: FeatureMap, block: Int, kernels: Kernels) {
        let plane = output.image(image) + block * output.blockStride
        for band in bands {
            kernels.table.pointee.moments(
                output.momentsOf(image, block: block, band: band),
                plane + band * bandRows * output.side * channelBlock, output.rows(ofBand: band) * output.side)
        }
    }
}

/// The segments of consecutive units, each of so many bands at most.
struct Segments: Sequence, IteratorProtocol {
    private var unit: Int
    private let end: Int
    private let bands: Int
    private let bandsPerImage: Int

    init(_ units: Range<Int>, bands: Int = .max, bandsPerImage: Int) {
        unit = units.lowerBound
        end = units.upperBound
        self.bands = bands
        self.bandsPerImage = bandsPerImage
    }

    mutating func next() -> Segment? {
        guard unit < end else { return nil }
        let segment = Segment(at: unit, before: unit + Swift.min(bands, end - unit), bandsPerImage: bandsPerImage)
        unit += segment.bands.count
        return segment
    }
}

/// What a layer does with its output while it is in the cache.
package enum Epilogue {
    case none
    /// Leaves the moments that a GroupNorm reads.
    case moments
    /// Takes the output, a gradient, back through an activation.
    case activationGradient(ActivationGradient)
}
