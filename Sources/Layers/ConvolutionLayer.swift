import Tensor

/// A convolution of either kind, or a resampling. The transform of its input, the residual and the moments of the output are part of it.
package protocol ConvolutionLayer: AnyObject, Sendable {
    associatedtype Shape: ConvolutionLayerShape
    /// Sizes, algorithm and precision.
    var shape: Shape { get }
    /// Computes a part of a call: some bands of some output blocks.
    func compute(_ call: ConvolutionCall, units: Range<Int>, blocks: Range<Int>, scratch: Scratch)
}

extension ConvolutionLayer {
    /// Convolves the first `batch` images.
    /// - Parameters:
    ///   - input: `inputs` channels.
    ///   - transform: applied while reading; nil reads the map as it is.
    ///   - output: `outputs` channels.
    ///   - residual: added to the result; may be `output` itself.
    ///   - epilogue: done with what has just been written.
    package func forward(
        _ input: FeatureMap, transform: InputTransform?, into output: FeatureMap, residual: FeatureMap?,
        epilogue: Epilogue, batch: Int, on workspace: Workspace
    ) {
        precondition(
            input.blocks == shape.inputBlocks && input.side == shape.inputSide
                && output.blocks == shape.outputBlocks && output.side == shape.side)
        let division = shape.division(batch: batch, on: workspace.pool)
        var call = ConvolutionCall(
            layer: self, input: input, transform: transform, output: output, residual: residual,
            epilogue: epilogue, workspace: workspace, units: batch * output.bands, division: division)
        workspace.run(shape.plan(division), on: &call, ConvolutionCall.section)
    }
}

/// One call of a convolution.
package struct ConvolutionCall {
    let layer: any ConvolutionLayer
    let input: FeatureMap
    let transform: InputTransform?
    let output: FeatureMap
    let residual: FeatureMap?
    let epilogue: Epilogue
    let workspace: Workspace
    /// Bands of all images.
    let units: Int
    let division: WorkDivision

    fileprivate static let section: WorkerPool.Section = { context, worker in
        let call = context.assumingMemoryBound(to: ConvolutionCall.self)
        let part = call.pointee.division.part(
            of: worker, units: call.pointee.units, blocks: call.pointee.output.blocks)
        guard !part.units.isEmpty, !part.blocks.isEmpty else { return }
        call.pointee.layer.compute(
            call.pointee, units: part.units, blocks: part.blocks, scratch: call.pointee.workspace.scratch(of: worker))
    }
}

/// The gradients of a convolution of either kind or a resampling, by its input and by its parameters. Those by the parameters add up until
/// `addGradients`.
package protocol ConvolutionLayerGradient: AnyObject {
    associatedtype Layer: ConvolutionLayer
    /// The convolution, in f32.
    var layer: Layer { get }
    /// Floats of scratch that a worker needs for both directions.
    var scratchFloats: Int { get }

    /// Takes new weights and bias, as a model file has them, for both directions.
    func repack(weight: UnsafePointer<Float>, bias: UnsafePointer<Float>, pool: WorkerPool)

    /// Computes the gradient with respect to the input.
    /// - Parameters:
    ///   - outputGradient: by the output of the first `batch` images.
    ///   - result: receives it.
    ///   - addend: added to it; may be `result` itself.
    ///   - transform: the transform that was applied while the input was read; the result is then the gradient before
    ///     `InputTransformGradient.finish`. A convolution that doubles the resolution has none.
    ///   - temporary: memory for a map as the shape's `gradientTemporary` says.
    func inputGradient(
        _ outputGradient: FeatureMap, into result: FeatureMap, addend: FeatureMap?,
        through transform: InputTransformGradient.Call?, temporary: FeatureMap?, batch: Int, on workspace: Workspace)

    /// Adds up the gradients with respect to weights and bias of the first `batch` images.
    /// - Parameters:
    ///   - input: what the layer read, through `transform`.
    ///   - outputGradient: by the layer's output.
    func accumulate(
        _ input: FeatureMap, transform: InputTransform?, outputGradient: FeatureMap, batch: Int,
        on workspace: Workspace)

    /// Adds the accumulated gradients to those with respect to `weight` and `bias`, laid out as `repack` takes these, and resets
    /// them.
    func addGradients(weight: UnsafeMutablePointer<Float>, bias: UnsafeMutablePointer<Float>, pool: WorkerPool)
}
