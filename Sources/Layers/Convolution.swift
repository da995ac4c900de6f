import CKernels
public import Tensor

/// A 3x3 convolution with padding 1 and a bias: at full resolution, with stride 2, or after doubling the resolution by
/// nearest neighbour. The transform of its input, the residual and the moments of the output are part of it.
public final class Convolution: Sendable {
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
        pack(weight, pool: pool)
    }

    private func pack(_ weight: UnsafePointer<Float>, pool: WorkerPool) {
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

    /// Convolves the first `batch` images.
    /// - Parameters:
    ///   - input: `inputs` channels.
    ///   - transform: applied while reading; nil reads the map as it is.
    ///   - output: `outputs` channels of `side` pixels.
    ///   - residual: added to the result; may be `output` itself.
    ///   - recordsMoments: whether the output's moments are wanted.
    public func forward(
        _ input: FeatureMap, transform: InputTransform?, into output: FeatureMap, residual: FeatureMap? = nil,
        recordsMoments: Bool = true, batch: Int, on workspace: Workspace
    ) {
        forward(
            input, transform: transform, into: output, residual: residual,
            epilogue: recordsMoments ? .moments : .none, batch: batch, on: workspace)
    }

    /// Convolves the first `batch` images, `epilogue` being done with what has just been written.
    func forward(
        _ input: FeatureMap, transform: InputTransform?, into output: FeatureMap, residual: FeatureMap?,
        epilogue: Epilogue, batch: Int, on workspace: Workspace
    ) {
        precondition(
            input.blocks == shape.inputBlocks && output.blocks == shape.outputBlocks && output.side == shape.side)
        precondition(shape.resampling != .none || input.side == shape.side)
        let division = shape.division(batch: batch, on: workspace.pool)
        var call = Call(
            layer: self, input: input, transform: transform, output: output, residual: residual,
            epilogue: epilogue, workspace: workspace, units: batch * output.bands, division: division)
        workspace.run(shape.plan(division), on: &call) { context, worker in
            context.assumingMemoryBound(to: Call.self).pointee.perform(worker)
        }
    }

    /// One forward call.
    struct Call {
        let layer: Convolution
        let input: FeatureMap
        let transform: InputTransform?
        let output: FeatureMap
        let residual: FeatureMap?
        let epilogue: Epilogue
        let workspace: Workspace
        let units: Int
        let division: WorkDivision

        /// Does a worker's part.
        func perform(_ worker: Int) {
            let part = division.part(of: worker, units: units, blocks: layer.shape.outputBlocks)
            guard !part.units.isEmpty, !part.blocks.isEmpty else { return }
            let scratch = workspace.scratch(of: worker)
            if layer.shape.algorithm == .direct {
                layer.direct(self, units: part.units, blocks: part.blocks, scratch: scratch)
            } else {
                layer.winograd(self, units: part.units, blocks: part.blocks, scratch: scratch)
            }
        }
    }
}
