import CKernels
public import Tensor

/// A 3x3 convolution with padding 1 and a bias: at full resolution, with stride 2, or after doubling the resolution by
/// nearest neighbour.
public final class Convolution: ConvolutionLayer {
    /// Sizes, algorithm and precision.
    public let shape: ConvolutionShape
    let weights: AlignedBuffer
    let bias: AlignedBuffer

    /// Packs the weights.
    /// - Parameters:
    ///   - weight: [outputs][inputs][3][3], as PyTorch keeps it.
    ///   - bias: [outputs].
    public convenience init(_ shape: ConvolutionShape, weight: [Float], bias: [Float], pool: WorkerPool) {
        precondition(weight.count == shape.outputs * shape.inputs * 9 && bias.count == shape.outputs)
        self.init(zeros: shape)
        repack(weight: weight, bias: bias, pool: pool)
    }

    /// A convolution whose weights and bias are zero until `repack`.
    init(zeros shape: ConvolutionShape) {
        self.shape = shape
        bias = AlignedBuffer(count: shape.outputBlocks * channelBlock)
        weights = AlignedBuffer(count: shape.weightFloats)
    }

    /// Replaces weights and bias, laid out as for `init`; a nil bias leaves the bias. No other call may be running.
    func repack(weight: UnsafePointer<Float>, bias: UnsafePointer<Float>?, pool: WorkerPool) {
        if let bias { self.bias.pointer.update(from: bias, count: shape.outputs) }
        let (inputs, outputs, padded) = (shape.inputs, shape.outputs, shape.inputBlocks * channelBlock)
        guard shape.algorithm != .direct else {
            return hw_pack_direct3x3(weights.pointer, weight, outputs, inputs, padded)
        }
        let blockFloats = shape.positions * padded * channelBlock
        let tile: Int32 = shape.isLarge ? 4 : 2
        pool.run { [self] worker in
            let part = WorkerPool.part(worker, of: pool.count, total: shape.outputBlocks)
            switch shape.precision {
            case .f32:
                hw_pack_winograd3x3(
                    weights.pointer + part.lowerBound * blockFloats, weight, outputs, inputs, padded, tile,
                    part.lowerBound, part.count)
            case .bf16:
                let panels = AlignedBuffer(count: blockFloats)
                defer { withExtendedLifetime(panels) {} }
                for block in part {
                    hw_pack_winograd3x3(panels.pointer, weight, outputs, inputs, padded, tile, block, 1)
                    hw_narrow_panels(
                        weights.pointer + block * blockFloats / 2, panels.pointer, blockFloats / channelBlock)
                }
            }
        }
    }

    package func compute(_ call: ConvolutionCall, units: Range<Int>, blocks: Range<Int>, scratch: Scratch) {
        if shape.algorithm == .direct {
            direct(call, units: units, blocks: blocks, scratch: scratch)
        } else {
            winograd(call, units: units, blocks: blocks, scratch: scratch)
        }
    }
}
