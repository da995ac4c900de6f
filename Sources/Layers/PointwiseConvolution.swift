import CKernels
import Tensor

/// What there is to know of a 1x1 convolution without its weights: how it is computed, and what memory that takes.
public struct PointwiseShape: ConvolutionLayerShape {
    package let inputs: Int
    package let outputs: Int
    package let side: Int
    /// How its weights lie in a model file.
    public let weights: WeightArrangement
    /// What its products are computed in.
    public let precision: Precision
    package let inputBlocks: Int
    package let outputBlocks: Int

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

    package func computed(in precision: Precision) -> PointwiseShape {
        PointwiseShape(inputs: inputs, outputs: outputs, side: side, weights: weights, precision: precision)
    }

    /// Those with padding left out.
    package var multiplyAdds: Int { fileShape.reduce(side * side, *) }

    /// Columns of the input matrix.
    var columns: Int { inputBlocks * channelBlock }

    package var weightFloats: Int { inputBlocks * outputBlocks * channelBlock * precision.words }

    package var scratchFloats: Int {
        InputReader.scratchFloats(channels: columns) + columns * max(Self.chunkPixels, bandRows * side)
    }

    /// Bands worked on together.
    var chunkBands: Int { max(1, Self.chunkPixels / (bandRows * side)) }

    package func division(batch: Int, on pool: WorkerPool) -> WorkDivision {
        WorkDivision(
            workers: pool.count, imageParts: pool.imageParts(batch),
            units: batch * FeatureMap.bands(side), blocks: outputBlocks, rows: bandRows * side,
            inputs: columns, weights: columns * precision.words, source: bandRows * side * columns)
    }

    package func plan(_ division: WorkDivision) -> LayerPlan {
        LayerPlan(
            kind: .pointwise, precision: precision, inputs: inputs, outputs: outputs, side: side,
            multiplyAdds: multiplyAdds,
            products: inputBlocks * outputBlocks * channelBlock * channelBlock * side * side,
            weightBytes: weightFloats * MemoryLayout<Float>.stride, unitParts: division.unitParts,
            blockParts: division.blockParts)
    }
}

/// A 1x1 convolution with a bias: a matrix product over the pixels, which the blocked layout allows without repacking.
public final class PointwiseConvolution: ConvolutionLayer {
    /// Sizes and precision.
    public let shape: PointwiseShape
    let weights: AlignedBuffer
    private let bias: AlignedBuffer

    /// Packs weights and bias, row-major with the extents that `shape.weightShape` has.
    public convenience init(_ shape: PointwiseShape, weight: [Float], bias: [Float]) {
        precondition(weight.count == shape.fileShape.reduce(1, *) && bias.count == shape.fileShape[0])
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

    package func compute(_ call: ConvolutionCall, units: Range<Int>, blocks: Range<Int>, scratch: Scratch) {
        var scratch = scratch
        let reader = InputReader(call, scratch: &scratch)
        for segment in Segments(units, bands: shape.chunkBands, bandsPerImage: call.output.bands) {
            let pixels = Pixels(segment, side: shape.side)
            let source = source(call, segment, pixels, reader: reader, memory: scratch)
            multiply(source, pixels, segment: segment, blocks: blocks, call)
            for block in blocks {
                segment.finish(call.output, block: block, call.epilogue, kernels: call.workspace.kernels)
            }
        }
    }

    /// The segment's pixels as a matrix: in place, or a copy, transformed or in bf16.
    func source(
        _ call: ConvolutionCall, _ segment: Segment, _ pixels: Pixels, reader: InputReader, memory: Scratch
    ) -> (data: UnsafePointer<Float>, stride: Int) {
        let (input, transform) = (call.input, call.transform)
        let data = UnsafePointer(input.image(segment.image) + pixels.offset)
        guard transform != nil || shape.precision != .f32 else { return (data, input.blockStride) }
        reader.prepare(transform, for: input, image: segment.image)
        var memory = memory
        let copy = memory.take(shape.columns * pixels.count)
        // Whole cache lines, since a block is transformed in f32 where its bf16 go, by aligned stores.
        let stride = Scratch.rounded(pixels.count * shape.precision.words)
        for block in 0..<shape.inputBlocks {
            let source = data + block * input.blockStride
            let target = copy + block * stride
            if transform != nil { reader.read(source, pixels: pixels.count, block: block, into: target) }
            if shape.precision == .bf16 {
                call.workspace.kernels.table.pointee.narrow(
                    target, transform == nil ? source : UnsafePointer(target), pixels.count)
            }
        }
        return (UnsafePointer(copy), stride)
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
        _ call: ConvolutionCall
    ) {
        let (output, residual) = (call.output, call.residual)
        let panel = shape.columns * shape.precision.words
        let offset = pixels.offset + blocks.lowerBound * output.blockStride
        call.workspace.kernels.gemm(
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
