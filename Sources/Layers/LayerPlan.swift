public import Tensor

/// How a layer is computed for one batch size: what `headwater inspect --plan` prints, and what a profile is kept by.
public struct LayerPlan: Hashable, Sendable {
    /// The algorithm.
    public enum Kind: String, Codable, Sendable {
        /// A 3x3 convolution by Winograd F(4x4).
        case winograd4 = "3x3 F(4x4)"
        /// A 3x3 convolution by Winograd F(2x2).
        case winograd2 = "3x3 F(2x2)"
        /// A 3x3 convolution by im2col and one matrix product.
        case direct = "3x3 direct"
        /// A 1x1 convolution.
        case pointwise = "1x1"
        /// Attention without its convolutions.
        case attention
        /// A change of resolution, or a scaled copy, without weights.
        case resampling
    }

    /// The algorithm, chosen by shape and precision alone.
    public let kind: Kind
    /// What products are computed in.
    public let precision: Precision
    /// Channels read.
    public let inputs: Int
    /// Channels written.
    public let outputs: Int
    /// Height and width of the output in pixels.
    public let side: Int
    /// Multiply-adds of the direct algorithm for one image.
    public let multiplyAdds: Int
    /// Multiply-adds of the matrix products that are really computed for one image, padding included.
    public let products: Int
    /// Bytes of packed weights, all of which every evaluation reads.
    public let weightBytes: Int
    /// Among how many workers the images' rows are divided.
    public let unitParts: Int
    /// Among how many workers the output channels are divided, each preparing all input for itself.
    public let blockParts: Int

    /// Bytes of activations that workers read and others wrote, over a batch, at most: none where no two workers share an
    /// image. Rows at the edges of a worker's part aren't counted.
    public func sharedBytes(batch: Int) -> Int {
        let workersPerImage = (unitParts * blockParts + batch - 1) / batch
        let read = batch * inputs * side * side * blockParts * MemoryLayout<Float>.stride
        return read - read / workersPerImage
    }
}

/// Where the time of evaluations goes: seconds and sections by layer. Not for two threads at a time.
public final class LayerProfile {
    /// What was measured of layers with the same plan.
    public struct Entry: Sendable {
        /// Parallel sections, each ending in a barrier.
        public var sections = 0
        /// Time from the announcement of a section to the return of its last worker.
        public var duration = Duration.zero
    }

    /// By plan.
    public private(set) var entries: [LayerPlan: Entry] = [:]

    /// An empty profile.
    public init() {}

    func add(_ plan: LayerPlan, _ duration: Duration) {
        entries[plan, default: Entry()].sections += 1
        entries[plan, default: Entry()].duration += duration
    }
}
