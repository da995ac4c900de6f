import CKernels
import Tensor

/// A 1x1 convolution with a bias: a matrix product over the pixels, which the blocked layout allows without repacking.
public final class PointwiseConvolution: Sendable {
    /// Channels read.
    public let inputs: Int
    /// Channels written.
    public let outputs: Int
    /// What its products are computed in.
    public let precision: Precision
    let inputBlocks: Int
    let outputBlocks: Int
    let weights: AlignedBuffer
    private let bias: AlignedBuffer

    /// Most pixels worked on together, so that a normalised copy of the input stays near the core.
    static let chunkPixels = 128

    /// `weight` is [outputs][inputs], `bias` [outputs].
    public init(weight: [Float], bias: [Float], inputs: Int, outputs: Int, precision: Precision = .f32) {
        precondition(weight.count == inputs * outputs && bias.count == outputs)
        self.inputs = inputs
        self.outputs = outputs
        inputBlocks = FeatureMap.blocks(inputs)
        outputBlocks = FeatureMap.blocks(outputs)
        self.bias = AlignedBuffer(bias + [Float](repeating: 0, count: outputBlocks * channelBlock - outputs))
        self.precision = precision
        weights = AlignedBuffer(count: Self.weightFloats(inputs: inputs, outputs: outputs, precision: precision))
        pack(weight)
    }

    /// Floats of memory that the packed weights of a convolution with these arguments of `init` take.
    public static func weightFloats(inputs: Int, outputs: Int, precision: Precision = .f32) -> Int {
        FeatureMap.blocks(inputs) * FeatureMap.blocks(outputs) * channelBlock * precision.words
    }

    /// Replaces weights and bias, laid out as for `init`; a nil bias is zero. Nobody may be convolving meanwhile.
    public func repack(weight: UnsafePointer<Float>, bias: UnsafePointer<Float>?) {
        if let bias { self.bias.pointer.update(from: bias, count: outputs) }
        pack(weight)
    }

    private func pack(_ weight: UnsafePointer<Float>) {
        let columns = inputBlocks * channelBlock
        switch precision {
        case .f32:
            hw_pack_panels(weights.pointer, weight, outputs, inputs, columns)
        case .bf16:
            let panels = AlignedBuffer(count: columns * outputBlocks * channelBlock)
            withExtendedLifetime(panels) {
                hw_pack_panels(panels.pointer, weight, outputs, inputs, columns)
                hw_narrow_panels(weights.pointer, panels.pointer, panels.count / channelBlock)
            }
        }
    }

    /// Floats of scratch that a worker needs on maps of `side` pixels.
    public func scratchFloats(side: Int) -> Int { Self.scratchFloats(inputs: inputs, side: side) }

    /// Floats of scratch that a worker needs for `inputs` channels of maps of `side` pixels.
    public static func scratchFloats(inputs: Int, side: Int) -> Int {
        let channels = FeatureMap.blocks(inputs) * channelBlock
        return InputReader.scratchFloats(channels: channels) + channels * max(chunkPixels, bandRows * side)
    }

    /// Convolves the first `batch` images.
    /// - Parameters:
    ///   - normalization: applied while reading; nil reads the map as it is.
    ///   - residual: added to the result; may be `output` itself.
    ///   - recordsMoments: whether the output's moments are wanted.
    public func forward(
        _ input: FeatureMap, normalization: Normalization?, into output: FeatureMap, residual: FeatureMap? = nil,
        recordsMoments: Bool, batch: Int, on workspace: Workspace
    ) {
        forward(
            input, normalization: normalization, into: output, residual: residual,
            epilogue: recordsMoments ? .moments : .none, batch: batch, on: workspace)
    }

    /// Convolves the first `batch` images, `epilogue` being done with what has just been written.
    func forward(
        _ input: FeatureMap, normalization: Normalization?, into output: FeatureMap, residual: FeatureMap?,
        epilogue: Epilogue, batch: Int, on workspace: Workspace
    ) {
        precondition(input.blocks == inputBlocks && output.blocks == outputBlocks && input.side == output.side)
        let division = division(side: output.side, batch: batch, on: workspace.pool)
        var call = Call(
            layer: self, input: input, normalization: normalization, output: output, residual: residual,
            epilogue: epilogue, workspace: workspace, units: batch * output.bands, division: division)
        workspace.run(plan(side: output.side, division: division), on: &call) { context, worker in
            context.assumingMemoryBound(to: Call.self).pointee.perform(worker)
        }
    }

    private func division(side: Int, batch: Int, on pool: WorkerPool) -> WorkDivision {
        let columns = inputBlocks * channelBlock
        return WorkDivision(
            workers: pool.count, imageParts: pool.imageParts(batch),
            units: batch * FeatureMap.bands(side), blocks: outputBlocks, rows: bandRows * side,
            inputs: columns, weights: columns * precision.words, source: bandRows * side * columns)
    }

    private func plan(side: Int, division: WorkDivision) -> LayerPlan {
        LayerPlan(
            kind: .pointwise, precision: precision, inputs: inputs, outputs: outputs, side: side,
            multiplyAdds: inputs * outputs * side * side,
            products: inputBlocks * outputBlocks * channelBlock * channelBlock * side * side,
            weightBytes: weights.count * MemoryLayout<Float>.stride, unitParts: division.unitParts,
            blockParts: division.blockParts)
    }

    /// How batches of `batch` maps of `side` pixels are convolved.
    public func plan(side: Int, batch: Int, on pool: WorkerPool) -> LayerPlan {
        plan(side: side, division: division(side: side, batch: batch, on: pool))
    }

    /// One forward call.
    private struct Call {
        let layer: PointwiseConvolution
        let input: FeatureMap
        let normalization: Normalization?
        let output: FeatureMap
        let residual: FeatureMap?
        let epilogue: Epilogue
        let workspace: Workspace
        let units: Int
        let division: WorkDivision

        /// Does a worker's part.
        func perform(_ worker: Int) {
            let part = division.part(of: worker, units: units, blocks: layer.outputBlocks)
            guard !part.units.isEmpty, !part.blocks.isEmpty else { return }
            var scratch = workspace.scratch(of: worker)
            let reader = InputReader(
                kernels: workspace.kernels, channels: layer.inputBlocks * channelBlock, normalization: normalization,
                scratch: &scratch)
            let bandsTogether = max(1, PointwiseConvolution.chunkPixels / (bandRows * output.side))
            var unit = part.units.lowerBound
            while unit < part.units.upperBound {
                let segment = Segment(
                    at: unit, before: min(unit + bandsTogether, part.units.upperBound), bandsPerImage: output.bands)
                let pixels = Pixels(segment, side: output.side)
                layer.multiply(
                    source(segment, pixels, reader: reader, memory: scratch), pixels, segment: segment,
                    blocks: part.blocks, output: output, residual: residual, kernels: workspace.kernels)
                for block in part.blocks {
                    segment.finish(output, block: block, epilogue, kernels: workspace.kernels)
                }
                unit += segment.bands.count
            }
        }

        /// The segment's pixels as a matrix: in place, or a copy, normalised or in bf16.
        private func source(
            _ segment: Segment, _ pixels: Pixels, reader: InputReader, memory: Scratch
        ) -> (data: UnsafePointer<Float>, stride: Int) {
            let data = UnsafePointer(input.image(segment.image) + pixels.offset)
            guard normalization != nil || layer.precision != .f32 else { return (data, input.blockStride) }
            reader.prepare(normalization, for: input, image: segment.image)
            var memory = memory
            let copy = memory.take(layer.inputBlocks * channelBlock * pixels.count)
            let stride = pixels.count * layer.precision.words
            for block in 0..<layer.inputBlocks {
                let source = data + block * input.blockStride
                let target = copy + block * stride
                if normalization != nil {
                    reader.read(source, pixels: pixels.count, block: block, into: target)
                }
                if layer.precision == .bf16 {
                    workspace.kernels.table.pointee.narrow(
                        target, normalization == nil ? source : UnsafePointer(target), pixels.count)
                }
            }
            return (UnsafePointer(copy), stride)
        }
    }

    /// A segment's pixels, which lie side by side.
    struct Pixels {
        let offset: Int
        let count: Int

        init(_ segment: Segment, side: Int) {
            let first = segment.bands.lowerBound * bandRows
            offset = first * side * channelBlock
            count = (min(segment.bands.upperBound * bandRows, side) - first) * side
        }
    }

    private func multiply(
        _ source: (data: UnsafePointer<Float>, stride: Int), _ pixels: Pixels, segment: Segment, blocks: Range<Int>,
        output: FeatureMap, residual: FeatureMap?, kernels: Kernels
    ) {
        let columns = inputBlocks * channelBlock
        let panel = columns * precision.words
        let offset = pixels.offset + blocks.lowerBound * output.blockStride
        kernels.gemm(
            hw_gemm_arguments(
                a: source.data, a_block_stride: source.stride, a_group_stride: 0, group_rows: pixels.count,
                b: weights.pointer + blocks.lowerBound * panel, b_panel_stride: panel,
                c: output.image(segment.image) + offset, c_block_stride: output.blockStride, rows: pixels.count,
                k: columns, blocks: blocks.count, bias: bias.pointer + blocks.lowerBound * channelBlock,
                residual: residual.map { UnsafePointer($0.image(segment.image) + offset) },
                residual_block_stride: residual?.blockStride ?? 0),
            in: precision)
    }
}
