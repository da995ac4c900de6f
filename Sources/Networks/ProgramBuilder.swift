public import Layers

/// Puts a `NetworkProgram` together, operation by operation.
public struct ProgramBuilder {
    /// An index into the program's buffers.
    public typealias BufferIndex = NetworkProgram.BufferIndex

    private var buffers: [NetworkProgram.Buffer] = []
    private var operations: [NetworkOperation] = []
    private var parameters: [ParameterShape]
    private var places: [NetworkProgram.Place] = []
    private var modulationWidth = 0
    private let timeEmbedding: TimeEmbedding

    /// Begins a program whose modulations come from that embedding, whose parameters are the first.
    public init(_ timeEmbedding: TimeEmbedding) {
        self.timeEmbedding = timeEmbedding
        parameters = timeEmbedding.parameters
    }

    /// Adds a buffer with memory of its own.
    public mutating func buffer(_ name: String, channels: Int, side: Int) -> BufferIndex {
        buffers.append(NetworkProgram.Buffer(name: name, channels: channels, side: side, owner: nil))
        return buffers.count - 1
    }

    /// Adds a buffer of another one's size.
    public mutating func buffer(_ name: String, like other: BufferIndex) -> BufferIndex {
        buffer(name, channels: channels(of: other), side: side(of: other))
    }

    /// Channels of a buffer.
    public func channels(of buffer: BufferIndex) -> Int { buffers[buffer].channels }

    /// Height and width of a buffer in pixels.
    public func side(of buffer: BufferIndex) -> Int { buffers[buffer].side }

    /// Adds the buffer of some channels of another one.
    public mutating func channels(_ range: Range<Int>, of owner: BufferIndex, _ name: String) -> BufferIndex {
        precondition(buffers[owner].owner == nil && range.upperBound <= buffers[owner].channels)
        buffers.append(
            NetworkProgram.Buffer(
                name: name, channels: range.count, side: buffers[owner].side,
                owner: NetworkProgram.Buffer.Range(buffer: owner, firstChannel: range.lowerBound)))
        return buffers.count - 1
    }

    /// Adds a modulation of `channels` channels; to be called in the order in which operations use them.
    public mutating func modulation(
        _ key: String, _ kind: ModulationKind = .scaleAndShift, channels: Int
    ) -> NetworkOperation.Modulation {
        let modulation = NetworkOperation.Modulation(
            key: key, kind: kind, channels: channels, embeddingWidth: timeEmbedding.width, offset: modulationWidth)
        modulationWidth += modulation.width
        return modulation
    }

    /// A 3x3 convolution; its sizes follow from its buffers.
    public func convolution(
        _ key: String, _ input: BufferIndex, into output: BufferIndex,
        resampling: ConvolutionShape.Resampling = .none, padding: ConvolutionShape.Padding = .symmetric,
        transform: NetworkOperation.Transform? = nil, residual: BufferIndex? = nil, factor: Float = 1,
        startsAtZero: Bool = false
    ) -> NetworkOperation {
        let shape = ConvolutionShape(
            inputs: buffers[input].channels, outputs: buffers[output].channels, side: buffers[input].side,
            resampling: resampling, padding: padding)
        return NetworkOperation(
            key: key, kind: .convolution(shape), input: input, transform: transform, residual: residual,
            factor: factor, output: output, startsAtZero: startsAtZero)
    }

    /// A 1x1 convolution; its sizes follow from its buffers.
    public func pointwise(
        _ key: String, _ input: BufferIndex, into output: BufferIndex,
        weights: WeightArrangement = .plain, transform: NetworkOperation.Transform? = nil,
        residual: BufferIndex? = nil, factor: Float = 1, startsAtZero: Bool = false
    ) -> NetworkOperation {
        let shape = PointwiseShape(
            inputs: buffers[input].channels, outputs: buffers[output].channels, side: buffers[input].side,
            weights: weights)
        return NetworkOperation(
            key: key, kind: .pointwise(shape), input: input, transform: transform, residual: residual, factor: factor,
            output: output, startsAtZero: startsAtZero)
    }

    /// A change of resolution, or a copy, of a transformed map or of a map times a factor.
    public func resampling(
        _ key: String, _ input: BufferIndex, into output: BufferIndex, _ resampling: ConvolutionShape.Resampling,
        transform: NetworkOperation.Transform? = nil, factor: Float = 1
    ) -> NetworkOperation {
        precondition(transform == nil || factor == 1)
        let shape = ResamplingShape(
            channels: buffers[input].channels, side: buffers[input].side, resampling: resampling)
        return NetworkOperation(
            key: key, kind: .resampling(shape), input: input, transform: transform, residual: nil, factor: factor,
            output: output, startsAtZero: false)
    }

    /// An attention, from its queries, keys and values to the attended values.
    public func attention(
        _ key: String, _ attention: Attention, _ input: BufferIndex, into output: BufferIndex
    ) -> NetworkOperation {
        NetworkOperation(
            key: key, kind: .attention(attention), input: input, transform: nil, residual: nil, factor: 1,
            output: output, startsAtZero: false)
    }

    /// Appends operations in the order in which they run.
    ///
    /// - Parameter parameterOrder: the same operations in the order in which their parameters follow each other in model
    ///   files; nil if it is the same.
    public mutating func append(_ added: [NetworkOperation], parameterOrder: [NetworkOperation]? = nil) {
        for operation in added {
            let (input, output) = (buffers[operation.input], buffers[operation.output])
            let shape = operation.shape
            precondition(input.channels == shape.inputs && input.side == shape.inputSide)
            precondition(output.channels == shape.outputs && output.side == shape.side)
            if let residual = operation.residual {
                precondition(buffers[residual].channels == output.channels && buffers[residual].side == output.side)
            }
        }
        operations += added
        parameters += (parameterOrder ?? added).flatMap(\.parameters)
    }

    /// Names what the operations so far have written to `buffer`, which no later one may change.
    public mutating func place(_ name: ActivationPlace, at buffer: BufferIndex) {
        places.append(NetworkProgram.Place(name: name, buffer: buffer, operationCount: operations.count))
    }

    /// The program that evaluates states in `input` to velocities in `output`.
    public func program(from input: BufferIndex, to output: BufferIndex) -> NetworkProgram {
        NetworkProgram(
            buffers: buffers, operations: operations, timeEmbedding: timeEmbedding, parameters: parameters,
            input: input, output: output, namedPlaces: places)
    }
}
