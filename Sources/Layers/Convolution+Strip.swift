import CKernels
import Tensor

extension Convolution {
    /// Fills the strip with one block of input channels, transformed, from the first row that the first output row
    /// reads to the last that the last reads. What lies outside the image must be zero already: padding comes after the activation.
    func fill(
        _ strip: UnsafeMutablePointer<Float>, _ call: ConvolutionCall, _ segment: Segment, block: Int,
        reader: InputReader
    ) {
        let input = call.input
        let source = input.image(segment.image) + block * input.blockStride
        let top = segment.bands.lowerBound * bandRows * shape.step - shape.leadingPadding
        for row in 0..<shape.stripRows(bands: segment.bands.count) {
            let y = top + row
            let inside = strip + (row * shape.stripWidth + shape.leadingPadding) * channelBlock
            switch shape.resampling {
            case .none, .down:
                guard y >= 0, y < input.side else { continue }
                reader.read(
                    source + y * input.side * channelBlock, pixels: input.side, block: block, into: inside)
            case .up:
                guard y >= 0, y < shape.side else { continue }
                call.workspace.kernels.table.pointee.copy_doubled(
                    inside, source + y / 2 * input.side * channelBlock, input.side)
            }
        }
    }

    /// The strip of a new segment: all zero, which leaves the padding zero for every block of channels.
    func clear(_ strip: UnsafeMutablePointer<Float>, bands: Int) {
        strip.update(repeating: 0, count: shape.stripRows(bands: bands) * shape.stripWidth * channelBlock)
    }
}
