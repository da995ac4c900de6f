public import Tensor

/// The memory that a network takes, computed from its program before anything is read or allocated. Small vectors, such as
/// biases, are left out.
public struct NetworkMemory: Sendable, Equatable {
    /// Packed weights, and the modulations of every time.
    public let networkBytes: Int
    /// The most that packing takes in addition for a moment: a tensor of the file, and copies of it.
    public let packingBytes: Int
    private let activations: ArenaLayout
    private let scratchFloats: Int

    /// - Parameters:
    ///   - timeCount: times at which the network will be evaluated.
    ///   - precision: what its products are computed in.
    public init(_ program: NetworkProgram, timeCount: Int, precision: Precision) {
        let modulations = timeCount * program.modulations.reduce(0) { $0 + $1.width }
        let weights = program.operations.map { $0.shape.computed(in: precision).weightFloats }.filter { $0 > 0 }
        networkBytes = (weights + [modulations]).reduce(0) { $0 + AlignedBuffer.byteCount(count: $1) }
        let largest = program.parameters.map(\.count).max() ?? 0
        packingBytes = (2 * largest + modulations) * MemoryLayout<Float>.stride
        activations = program.evaluationLayout
        scratchFloats = program.scratchFloats(in: precision)
    }

    /// Activations of `capacity` images, and scratch for each of the workers.
    public func evaluatorBytes(capacity: Int, workers: Int) -> Int {
        activations.byteCount(capacity: capacity)
            + workers * AlignedBuffer.byteCount(count: scratchFloats)
    }
}
