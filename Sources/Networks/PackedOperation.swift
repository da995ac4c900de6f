import Layers
import Tensor

/// An operation with its layer, ready to run.
public struct PackedOperation: Sendable {
    /// What computes it.
    package enum Layer: Sendable {
        case convolution(any ConvolutionLayer)
        case attention(Attention)
    }

    /// The operation.
    public let operation: NetworkOperation
    private let layer: Layer
    /// The transform's; nil if there is none.
    private let norm: GroupNorm?
    private let recordsMoments: Bool

    /// Joins an operation with its layers.
    /// - Parameters:
    ///   - norm: the GroupNorm of the operation's transform, if it has one.
    ///   - recordsMoments: whether the moments of its output are wanted.
    package init(_ operation: NetworkOperation, layer: Layer, norm: GroupNorm?, recordsMoments: Bool) {
        precondition((norm == nil) == (operation.transform == nil))
        self.operation = operation
        self.layer = layer
        self.norm = norm
        self.recordsMoments = recordsMoments
    }

    /// Packs an operation's weights.
    init(
        _ operation: NetworkOperation, recordsMoments: Bool, precision: Precision, pool: WorkerPool,
        parameters: ParameterSource
    ) throws {
        func tensors(_ key: String) throws -> (weight: [Float], bias: [Float]) {
            (try parameters(key + ".weight"), try parameters(key + ".bias"))
        }
        func scaled(_ tensors: (weight: [Float], bias: [Float])) -> (weight: [Float], bias: [Float]) {
            let factor = operation.factor
            return factor == 1 ? tensors : (tensors.weight.map { $0 * factor }, tensors.bias.map { $0 * factor })
        }
        let norm = try operation.transform.map { transform in
            let (weight, bias) = try tensors(transform.normKey)
            return GroupNorm(weight: weight, bias: bias, epsilon: transform.epsilon)
        }
        let layer: Layer
        switch operation.kind {
        case .convolution(let shape):
            let (weight, bias) = scaled(try tensors(operation.key))
            layer = .convolution(Convolution(shape.computed(in: precision), weight: weight, bias: bias, pool: pool))
        case .pointwise(let shape):
            let (weight, bias) = scaled(try tensors(operation.key))
            layer = .convolution(PointwiseConvolution(shape.computed(in: precision), weight: weight, bias: bias))
        case .attention(let attention): layer = .attention(attention)
        case .resampling(let shape): layer = .convolution(Resampling(shape, factor: operation.factor))
        }
        self.init(operation, layer: layer, norm: norm, recordsMoments: recordsMoments)
    }

    /// What is done to the input while it is read.
    ///
    /// - Parameter modulations: a row of all modulations for each image of the batch.
    public func transform(_ modulations: UnsafePointer<UnsafePointer<Float>>) -> InputTransform? {
        guard let norm, let transform = operation.transform else { return nil }
        return InputTransform(
            norm,
            modulation: transform.modulation.map {
                InputTransform.Modulation($0.kind, rows: modulations, offset: $0.offset)
            },
            isActivated: transform.isActivated)
    }

    /// Runs for some images.
    /// - Parameters:
    ///   - maps: of the program's buffers.
    ///   - modulations: a row of all modulations for each image of the maps.
    public func run(
        _ maps: [FeatureMap], images: Range<Int>, modulations: UnsafePointer<UnsafePointer<Float>>,
        on workspace: Workspace
    ) {
        let (first, batch) = (images.lowerBound, images.count)
        let input = maps[operation.input].images(from: first)
        let output = maps[operation.output].images(from: first)
        let residual = operation.residual.map { maps[$0].images(from: first) }
        let transform = transform(modulations + first)
        switch layer {
        case .convolution(let convolution):
            convolution.forward(
                input, transform: transform, into: output, residual: residual,
                epilogue: recordsMoments ? .moments : .none, batch: batch, on: workspace)
        case .attention(let attention): attention.forward(input, into: output, batch: batch, on: workspace)
        }
    }
}
