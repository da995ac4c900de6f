import Tensor

/// What there is to know of a layer without its weights: the maps that it reads and writes, what it costs, and what memory
/// it takes.
package protocol LayerShape: Hashable, Sendable {
    /// Channels read, before padding to 16.
    var inputs: Int { get }
    /// Channels written, before padding to 16.
    var outputs: Int { get }
    /// Height and width of the input in pixels.
    var inputSide: Int { get }
    /// Height and width of the output in pixels.
    var side: Int { get }
    /// Extents of its weights in a model file, outermost first; nil for a layer without parameters.
    var weightShape: [Int]? { get }
    /// Multiply-adds of the direct algorithm for one image.
    var multiplyAdds: Int { get }
    /// Floats of memory that the packed weights take.
    var weightFloats: Int { get }
    /// Floats of scratch that a worker needs.
    var scratchFloats: Int { get }
    /// Channels and side of the map that its gradient with respect to the input needs for itself; nil if it needs none.
    var gradientTemporary: (channels: Int, side: Int)? { get }
    /// The same layer with products that may be computed in `precision`.
    func computed(in precision: Precision) -> Self
    /// How it is computed in batches of `batch` images.
    func plan(batch: Int, on pool: WorkerPool) -> LayerPlan
}

extension LayerShape {
    /// The output's, unless the layer changes the resolution.
    package var inputSide: Int { side }
    /// None, unless the layer changes the resolution.
    package var gradientTemporary: (channels: Int, side: Int)? { nil }
}

/// The shape of a convolution of either kind or a resampling, whose work is divided among workers.
package protocol ConvolutionLayerShape: LayerShape {
    /// Blocks of 16 channels read.
    var inputBlocks: Int { get }
    /// Blocks of 16 channels written.
    var outputBlocks: Int { get }
    /// How a batch of `batch` images is divided among the workers.
    func division(batch: Int, on pool: WorkerPool) -> WorkDivision
    /// The plan of a division.
    func plan(_ division: WorkDivision) -> LayerPlan
}

extension ConvolutionLayerShape {
    package func plan(batch: Int, on pool: WorkerPool) -> LayerPlan { plan(division(batch: batch, on: pool)) }
}
