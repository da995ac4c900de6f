import CKernels
import Tensor

/// What there is to know of a change of resolution without weights: the mean of 2x2 pixels, nearest-neighbour doubling, or
/// neither.
public struct ResamplingShape: ConvolutionLayerShape {
    /// Channels read and written.
    public let channels: Int
    package let inputSide: Int
    package let side: Int
    /// What happens to the resolution.
    public let resampling: ConvolutionShape.Resampling

    /// Describes a resampling.
    ///
    /// - Parameter inputSide: height and width of the input in pixels; even if it is halved.
    public init(channels: Int, side inputSide: Int, resampling: ConvolutionShape.Resampling) {
        precondition(resampling != .down || inputSide.isMultiple(of: 2))
        self.channels = channels
        self.inputSide = inputSide
        self.resampling = resampling
        side =
            switch resampling {
            case .none: inputSide
            case .down: inputSide / 2
            case .up: inputSide * 2
            }
    }

    package var inputs: Int { channels }
    package var outputs: Int { channels }
    package var inputBlocks: Int { FeatureMap.blocks(channels) }
    package var outputBlocks: Int { FeatureMap.blocks(channels) }
    package var weightShape: [Int]? { nil }
    package var multiplyAdds: Int { 0 }
    package var weightFloats: Int { 0 }
    package func computed(in precision: Precision) -> ResamplingShape { self }

    package var scratchFloats: Int {
        InputReader.scratchFloats(channels: inputBlocks * channelBlock) + sourceFloats + side * channelBlock
    }

    /// Floats of the rows that an output row is made of.
    var sourceFloats: Int { (resampling == .down ? 2 : 1) * inputSide * channelBlock }

    package func division(batch: Int, on pool: WorkerPool) -> WorkDivision {
        WorkDivision(
            workers: pool.count, imageParts: pool.imageParts(batch), units: batch * FeatureMap.bands(side),
            blocks: outputBlocks, rows: bandRows * side, inputs: 1, weights: 0, source: 0)
    }

    package func plan(_ division: WorkDivision) -> LayerPlan {
        LayerPlan(
            kind: .resampling, precision: .f32, inputs: channels, outputs: channels, side: side,
            multiplyAdds: multiplyAdds, products: 0, weightBytes: 0, unitParts: division.unitParts,
            blockParts: division.blockParts)
    }
}

/// A change of resolution: of a transformed map, or of a map times a factor.
public final class Resampling: ConvolutionLayer {
    /// Sizes.
    public let shape: ResamplingShape
    private let factor: Float

    /// - Parameter factor: what a map without a transform is multiplied by; 1 for one with.
    public init(_ shape: ResamplingShape, factor: Float) {
        self.shape = shape
        self.factor = factor
    }

    package func compute(_ call: ConvolutionCall, units: Range<Int>, blocks: Range<Int>, scratch: Scratch) {
        var scratch = scratch
        let reader = InputReader(call, factor: factor, scratch: &scratch)
        let source = scratch.take(shape.sourceFloats)
        let sum = scratch.take(shape.side * channelBlock)
        let row = shape.side * channelBlock
        for segment in Segments(units, bandsPerImage: call.output.bands) {
            reader.prepare(call.transform, for: call.input, image: segment.image)
            let rows = segment.bands.lowerBound * bandRows..<min(segment.bands.upperBound * bandRows, shape.side)
            for block in blocks {
                let input = call.input.plane(segment.image, block)
                for y in rows {
                    let target = call.output.plane(segment.image, block) + y * row
                    guard let residual = call.residual else {
                        write(y, of: input, block: block, reader: reader, source: source, into: target)
                        continue
                    }
                    write(y, of: input, block: block, reader: reader, source: source, into: sum)
                    hw_axpy(sum, residual.plane(segment.image, block) + y * row, 1, row)
                    target.update(from: sum, count: row)
                }
                segment.finish(call.output, block: block, call.epilogue, kernels: call.workspace.kernels)
            }
        }
    }

    /// One row of the output; the rows of a segment come in ascending order, from an even one.
    private func write(
        _ y: Int, of input: UnsafePointer<Float>, block: Int, reader: InputReader, source: UnsafeMutablePointer<Float>,
        into target: UnsafeMutablePointer<Float>
    ) {
        let (side, row) = (shape.inputSide, shape.inputSide * channelBlock)
        switch shape.resampling {
        case .none: reader.read(input + y * row, pixels: side, block: block, into: target)
        case .down:
            reader.read(input + 2 * y * row, pixels: 2 * side, block: block, into: source)
            hw_mean_quads(target, source, source + row, shape.side)
        case .up:
            if y.isMultiple(of: 2) { reader.read(input + y / 2 * row, pixels: side, block: block, into: source) }
            reader.kernels.table.pointee.copy_doubled(target, source, side)
        }
    }
}

/// A resampling's gradient with respect to its input: the resampling in the other direction. There are no parameters.
public final class ResamplingGradient: ConvolutionLayerGradient {
    /// The resampling.
    public let layer: Resampling
    private let adjoint: Resampling

    /// Describes both directions; `factor` is the resampling's.
    public init(_ shape: ResamplingShape, factor: Float) {
        layer = Resampling(shape, factor: factor)
        func adjoint(_ resampling: ConvolutionShape.Resampling, factor: Float) -> Resampling {
            Resampling(
                ResamplingShape(channels: shape.channels, side: shape.side, resampling: resampling), factor: factor)
        }
        self.adjoint =
            switch shape.resampling {
            case .none: adjoint(.none, factor: factor)
            // Each pixel is a quarter of a mean.
            case .down: adjoint(.up, factor: factor / 4)
            // The sum of four pixels is four times their mean.
            case .up: adjoint(.down, factor: 4 * factor)
            }
    }

    package var scratchFloats: Int { max(layer.shape.scratchFloats, adjoint.shape.scratchFloats) }

    package func inputGradient(
        _ outputGradient: FeatureMap, into result: FeatureMap, addend: FeatureMap?,
        through transform: InputTransformGradient.Call?, temporary: FeatureMap?, batch: Int, on workspace: Workspace
    ) {
        adjoint.forward(
            outputGradient, transform: nil, into: result, residual: addend,
            epilogue: transform.epilogue(batch: batch, on: workspace), batch: batch, on: workspace)
    }

    package func repack(weight: UnsafePointer<Float>, bias: UnsafePointer<Float>, pool: WorkerPool) {
        preconditionFailure("a resampling has no parameters")
    }

    package func accumulate(
        _ input: FeatureMap, transform: InputTransform?, outputGradient: FeatureMap, batch: Int,
        on workspace: Workspace
    ) {}

    package func addGradients(
        weight: UnsafeMutablePointer<Float>, bias: UnsafeMutablePointer<Float>, pool: WorkerPool
    ) {
        preconditionFailure("a resampling has no parameters")
    }
}
