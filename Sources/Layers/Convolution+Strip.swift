import CKernels
import Tensor

extension Convolution {
    /// Pixels from one output pixel's window to the next.
    var step: Int { resampling == .down ? 2 : 1 }

    /// Pixels of a strip's row: the convolution's input with its padding, rounded up to whole tiles.
    var stripWidth: Int {
        switch algorithm {
        case .winograd4: (side + 3) / 4 * 4 + 2
        case .winograd2: (side + 1) / 2 * 2 + 2
        case .direct: (side - 1) * step + 3
        }
    }

    /// Rows of the strip that `bands` bands of output need.
    func stripRows(bands: Int) -> Int { (bands * bandRows - 1) * step + 3 }

    /// A strip never exceeds an image.
    var stripBands: Int { min(chunkBands, FeatureMap.bands(side)) }

    var stripFloats: Int { stripRows(bands: stripBands) * stripWidth * channelBlock }

    /// Fills the strip with one block of input channels, normalised and activated, from the row above the first output
    /// row to the row below the last. What lies outside the image must be zero already: padding comes after the
    /// activation.
    func fill(_ strip: UnsafeMutablePointer<Float>, _ call: Call, _ segment: Segment, block: Int, reader: InputReader) {
        let input = call.input
        let source = input.image(segment.image) + block * input.blockStride
        let top = segment.bands.lowerBound * bandRows * step - 1
        for row in 0..<stripRows(bands: segment.bands.count) {
            let y = top + row
            let inside = strip + (row * stripWidth + 1) * channelBlock
            switch resampling {
            case .none, .down:
                guard y >= 0, y < input.side else { continue }
                reader.read(
                    source + y * input.side * channelBlock, pixels: input.side, block: block, into: inside)
            case .up:
                guard y >= 0, y < side else { continue }
                call.workspace.kernels.table.pointee.copy_doubled(
                    inside, source + y / 2 * input.side * channelBlock, input.side)
            }
        }
    }

    /// The strip of a new segment: all zero, which leaves the padding zero for every block of channels.
    func clear(_ strip: UnsafeMutablePointer<Float>, bands: Int) {
        strip.update(repeating: 0, count: stripRows(bands: bands) * stripWidth * channelBlock)
    }
}
