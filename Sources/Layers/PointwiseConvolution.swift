import CKernels
import Tensor

/// What there is to know of a 1x1 convolution without its weights: how it is computed, and what memory that takes.
public struct PointwiseShape: Hashable, Sendable {
    /// Channels read, before padding to 16.
    public let inputs: Int
    /// Channels written, before padding to 16.
    public let outputs: Int
    /// Height and width of the maps in pixels.
    public let side: Int
    /// How its weights lie in a model file.
    public let weights: WeightArrangement
    /// What its products are computed in.
    public let precision: Precision
    let inputBlocks: Int
    let outputBlocks: Int

    /// Most pixels worked on together, so that a transformed copy of the input stays near the core.
    static let chunkPixels = 128

    /// Describes a convolution.
    public init(
        inputs: Int, outputs: Int, side: Int, weights: WeightArrangement = .plain, precision: Precision = .f32
    ) {
        self.inputs = inputs
        self.outputs = outputs
        self.side = side
        self.weights = weights
        self.precision = precision
        inputBlocks = FeatureMap.blocks(inputs)
        outputBlocks = FeatureMap.blocks(outputs)
    }

    /// The same convolution with products computed in `precision`.
    public func computed(in precision: Precision) -> PointwiseShape {
        PointwiseShape(inputs: inputs, outputs: outputs, side: side, weights: weights, precision: precision)
    }

    /// Multiply-adds for one image, those with padding left out.
    public var multiplyAdds: Int { weightShape.reduce(side * side, *) }

    /// Columns of the input matrix.
    var columns: Int { inputBlocks * channelBlock }

    /// Floats of memory that the packed weights take.
    public var weightFloats: Int { inputBlocks * outputBlocks * channelBlock * precision.words }

    /// Floats of scratch that a worker needs.
    public var scratchFloats: Int {
        InputReader.scratchFloats(channels: columns) + columns * max(Self.chunkPixels, bandRows * side)
    }

    /// How batches of `batch` images are convolved.
    public func plan(batch: Int, on pool: WorkerPool) -> LayerPlan { plan(division(batch: batch, on: pool)) }

    func division(batch: Int, on pool: WorkerPool) -> WorkDivision {
        WorkDivision(
            workers: pool.count, imageParts: pool.imageParts(batch),
            units: batch * FeatureMap.bands(side), blocks: outputBlocks, rows: bandRows * side,
            inputs: columns, weights: columns * precision.words, source: bandRows * side * columns)
    }

    func plan(_ division: WorkDivision) -> LayerPlan {
        LayerPlan(
            kind: .pointwise, precision: precision, inputs: inputs, outputs: outputs, side: side,
            multiplyAdds: multiplyAdds,
            products: inputBlocks * outputBlocks * channelBlock * channelBlock * side * side,
            weightBytes: weightFloats * MemoryLayout<Float>.stride, unitParts: division.unitParts,
            blockParts: division.blockParts)
    }
}

/// A 1x1 convolution with a bias: a matrix product over the pixels, which the blocked layout allows without repacking.
public final class PointwiseConvolution: Sendable {
    /// Sizes and precision.
    public let shape: PointwiseShape
    let weights: AlignedBuffer
    private let bias: AlignedBuffer

    /// Packs weights and bias, row-major with the extents that `shape.weightShape` has.
    public convenience init(_ shape: PointwiseShape, weight: [Float], bias: [Float]) {
        precondition(weight.count == shape.weightShape.reduce(1, *) && bias.count == shape.weightShape[0])
        self.init(zeros: shape)
        let arranged = shape.arranged(weight: weight, bias: bias)
        repack(weight: arranged.weight, bias: arranged.bias)
    }

    /// A convolution whose weights and bias are zero until `repack`.
    init(zeros shape: PointwiseShape) {
        self.shape = shape
        bias = AlignedBuffer(count: shape.outputBlocks * channelBlock)
        weights = AlignedBuffer(count: shape.weightFloats)
    }

    /// Replaces weights, [outputs][inputs], and bias, [outputs]; a nil bias leaves the bias. No other call may be running.
    func repack(weight: UnsafePointer<Float>, bias: UnsafePointer<Float>?) {
        if let bias { self.bias.pointer.update(from: bias, count: shape.outputs) }
        pack(weight)
    }

    private func pack(_ weight: UnsafePointer<Float>) {
        switch shape.precision {
        case .f32:
            hw_pack_panels(weights.pointer, weight, shape.outputs, shape.inputs, shape.columns)
        case .bf16:
            let panels = AlignedBuffer(count: shape.columns * shape.outputBlocks * channelBlock)
            withExtendedLifetime(panels) {
                hw_pack_panels(panels.pointer, weight, shape.outputs, shape.inputs, shape.columns)
                hw_narrow_panels(weights.pointer, panels.pointer, panels.count / channelBlock)
            }
        }
    }

    /// Convolves the first `batch` images.
    /// - Parameters:
    ///   - transform: applied while reading; nil reads the map as it is.
    ///   - residual: added to the result; may be `output` itself.
    ///   - recordsMoments: whether the output's moments are wanted.
    public func forward(
        _ input: FeatureMap, transform: InputTransform?, into output: FeatureMap, residual: FeatureMap? = nil,
        recordsMoments: Bool, batch: Int, on workspace: Workspace
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
            input.blocks == shape.inputBlocks && output.blocks == shape.outputBlocks && input.side == shape.side
                && output.side == shape.side)
        let division = shape.division(batch: batch, on: workspace.pool)
        var call = Call(
            layer: self, input: input, transform: transform, output: output, residual: residual,
            epilogue: epilogue, workspace: workspace, units: batch * output.bands, division: division)
        workspace.run(shape.plan(division), on: &call) { context, worker in
            context.assumingMemoryBound(to: Call.self).pointee.perform(worker)
        }
    }

    /// One forward call.
    private struct Call {
        let layer: PointwiseConvolution
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
            var scratch = workspace.scratch(of: worker)
            let reader = InputReader(
                kernels: workspace.kernels, channels: layer.shape.columns, transform: transform,
                scratch: &scratch)
            let bandsTogether = max(1, PointwiseShape.chunkPixels / (bandRows * output.side))
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

        /// The segment's pixels as a matrix: in place, or a copy, transformed or in bf16.
        private func source(
            _ segment: Segment, _ pixels: Pixels, reader: InputReader, memory: Scratch
        ) -> (data: UnsafePointer<Float>, stride: Int) {
            let data = UnsafePointer(input.image(segment.image) + pixels.offset)
            guard transform != nil || layer.shape.precision != .f32 else { return (data, input.blockStride) }
            reader.prepare(transform, for: input, image: segment.image)
            var memory = memory
            let copy = memory.take(layer.shape.columns * pixels.count)
            let stride = pixels.count * layer.shape.precision.words
            for block in 0..<layer.shape.inputBlocks {
                let source = data + block * input.blockStride
                let target = copy + block * stride
                if transform != nil {
                    reader.read(source, pixels: pixels.count, block: block, into: target)
                }
                if layer.shape.precision == .bf16 {
                    workspace.kernels.table.pointee.narrow(
                        target, transform == nil ? source : UnsafePointer(target), pixels.count)
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
        let panel = shape.columns * shape.precision.words
        let offset = pixels.offset + blocks.lowerBound * output.blockStride
        kernels.gemm(
            hw_gemm_arguments(
                a: source.data, a_block_stride: source.stride, a_group_stride: 0, group_rows: pixels.count,
                b: weights.pointer + blocks.lowerBound * panel, b_panel_stride: panel,
                c: output.image(segment.image) + offset, c_block_stride: output.blockStride, rows: pixels.count,
                k: shape.columns, blocks: blocks.count, bias: bias.pointer + blocks.lowerBound * channelBlock,
                residual: residual.map { UnsafePointer($0.image(segment.image) + offset) },
                residual_block_stride: residual?.blockStride ?? 0),
            in: shape.precision)
    }
}
