public import Layers
public import Tensor

/// A velocity network v(t, x) spelled out as operations over buffers, in the order in which they run. An architecture lowers
/// itself to one; what a network needs, costs and offers is then a fold over its operations, whatever the architecture.
///
/// A pure value without weights.
public struct NetworkProgram: Sendable, Equatable {
    /// An index into `buffers`.
    public typealias BufferIndex = Int

    /// A batch of activations that operations write and read.
    public struct Buffer: Sendable, Equatable {
        /// For messages.
        public let name: String
        /// Channels of an image.
        public let channels: Int
        /// Height and width in pixels.
        public let side: Int
        /// The larger buffer that it is a range of channels of; nil if it has memory of its own. A concatenation is a buffer
        /// whose ranges have different writers.
        let owner: Range?

        struct Range: Sendable, Equatable {
            let buffer: BufferIndex
            let firstChannel: Int
        }
    }

    struct Place: Sendable, Equatable {
        let name: ActivationPlace
        let buffer: BufferIndex
        /// How many operations an evaluation takes as far as the place.
        let operationCount: Int
    }

    /// What operations write and read.
    public let buffers: [Buffer]
    /// The operations in the order in which they run.
    public let operations: [NetworkOperation]
    /// How times become modulations.
    public let timeEmbedding: TimeEmbedding
    /// Every parameter in the order of model files, keys without the prefix that files add.
    public let parameters: [ParameterShape]
    /// The state that is evaluated.
    public let input: BufferIndex
    /// The velocity.
    public let output: BufferIndex
    let namedPlaces: [Place]

    /// The buffer that owns a buffer's memory.
    public func owner(of buffer: BufferIndex) -> BufferIndex { buffers[buffer].owner?.buffer ?? buffer }

    /// The buffers that are ranges of channels of a buffer.
    public func ranges(of buffer: BufferIndex) -> [BufferIndex] {
        buffers.indices.filter { buffers[$0].owner?.buffer == buffer }
    }

    /// Height and width of the state in pixels.
    public var side: Int { buffers[input].side }

    /// How many numbers a state has.
    public var stateCount: Int { buffers[input].channels * side * side }
}

// MARK: - Places

extension NetworkProgram {
    /// Every place, from the state to the velocity.
    public var places: [ActivationPlace] { namedPlaces.map(\.name) }

    /// Channels at a place, one of `places`.
    public func channels(at place: ActivationPlace) -> Int { buffers[existing(place).buffer].channels }

    /// Height and width in pixels at a place, one of `places`.
    public func side(at place: ActivationPlace) -> Int { buffers[existing(place).buffer].side }

    /// How many numbers `means` have. `problem(with:)` must be nil for them.
    public func count(of means: ActivationMeans) -> Int {
        channels(at: means.place) * means.divisions * means.divisions
    }

    /// How many operations an evaluation takes as far as `place`, one of `places`.
    public func operationCount(through place: ActivationPlace) -> Int { existing(place).operationCount }

    /// The buffer whose activations are read at `place`, one of `places`.
    public func buffer(at place: ActivationPlace) -> BufferIndex { existing(place).buffer }

    /// What is wrong with means that can't be read of this network, for an error; nil if they can.
    public func problem(with means: ActivationMeans) -> String? {
        guard places.contains(means.place) else { return problem(withUnknown: means.place) }
        let side = side(at: means.place)
        guard means.divisions > side else { return nil }
        return "the place \(means) has more cells than pixels; \(means.place) can be divided up to \(side)x\(side)"
    }

    private func problem(withUnknown place: ActivationPlace) -> String {
        var last: [(kind: Substring, place: String)] = []
        for name in places.map(\.description) {
            guard let dot = name.lastIndex(of: ".") else { continue }
            last.removeAll { $0.kind == name[..<dot] }
            last.append((name[..<dot], name))
        }
        return "the place \(place) doesn't exist; the last are \(last.map(\.place).joined(separator: " and "))"
    }

    private func existing(_ place: ActivationPlace) -> Place {
        guard let found = namedPlaces.first(where: { $0.name == place }) else {
            preconditionFailure("there is no place \(place)")
        }
        return found
    }
}

// MARK: - Parameters and cost

extension NetworkProgram {
    /// How many numbers the network has learned.
    public var parameterCount: Int { parameters.reduce(0) { $0 + $1.count } }

    /// The parameters that activations at `place` depend on, the time embedding's among them if an operation as far as there
    /// is modulated.
    public func parameters(through place: ActivationPlace) -> [ParameterShape] {
        let operations = operations.prefix(operationCount(through: place))
        let isModulated = operations.contains { $0.transform?.modulation != nil }
        return (isModulated ? timeEmbedding.parameters : []) + operations.flatMap(\.parameters)
    }

    /// Floating-point operations of one evaluation for one image, as far as `place`, one of `places`, if it is given: two for
    /// every multiply-add of the convolutions, linear layers and attention products. Normalisations, activations and the like,
    /// below a hundredth of it, aren't counted, and neither is the time embedding, which is computed once for all images.
    public func floatingPointOperations(through place: ActivationPlace? = nil) -> Int {
        let count = place.map(operationCount(through:)) ?? operations.count
        return 2 * operations.prefix(count).reduce(0) { $0 + $1.shape.multiplyAdds }
    }
}

// MARK: - Computation

extension NetworkProgram {
    /// Every modulation in the order of their offsets.
    public var modulations: [NetworkOperation.Modulation] { operations.compactMap { $0.transform?.modulation } }

    /// How every operation is computed in batches of `batch` images, by key, in order.
    public func plans(
        batch: Int, in precision: Precision, on pool: WorkerPool
    ) -> [(key: String, plan: LayerPlan)] {
        operations.map { ($0.key, $0.shape.computed(in: precision).plan(batch: batch, on: pool)) }
    }

    /// Floats of scratch that a worker needs.
    func scratchFloats(in precision: Precision) -> Int {
        operations.reduce(0) { max($0, $1.shape.computed(in: precision).scratchFloats) }
    }

    /// Whether each operation leaves the moments of what it writes: the last writer of a buffer does, if a transform or a
    /// place reads them.
    public var recordsMoments: [Bool] {
        let read = Set(
            operations.filter { $0.transform != nil }.map { owner(of: $0.input) }
                + namedPlaces.map { owner(of: $0.buffer) })
        var written: Set<BufferIndex> = []
        return operations.reversed().map {
            written.insert($0.output).inserted && read.contains(owner(of: $0.output))
        }.reversed()
    }
}
