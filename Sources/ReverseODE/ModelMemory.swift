public import FlowModel
import Networks
public import Tensor

/// The memory that serving a model takes, computed from its configuration before its weights are read.
public struct ModelMemory: Sendable, Equatable {
    /// What is held as long as the model is.
    public let modelBytes: Int
    /// What serving it takes: the model, and the activations of the largest batch.
    public let servingBytes: Int
    private let packingBytes: Int
    private let selfTestBytes: Int

    /// - Parameters:
    ///   - configuration: passes `ModelConfiguration.validate()`.
    ///   - precision: what products are computed in.
    ///   - capacity: most images evaluated together.
    ///   - workers: those of the pool that evaluates.
    /// - Throws: `ConfigurationError` if the network can't be built.
    public init(
        _ configuration: ModelConfiguration, precision: Precision, capacity: Int, workers: Int
    ) throws(ConfigurationError) {
        let program = try configuration.network()
        let schedule = Schedule(grid: TimeGrid(configuration), solver: configuration.solver)
        let network = NetworkMemory(program, timeCount: schedule.evaluations.count, precision: precision)
        let head = configuration.head?.parameters(on: program).reduce(0) { $0 + $1.count } ?? 0
        modelBytes = network.networkBytes + head * MemoryLayout<Float>.stride
        packingBytes = network.packingBytes
        servingBytes = modelBytes + network.evaluatorBytes(capacity: capacity, workers: workers)
        // The self-test evaluates one image while the memory of a full batch exists.
        selfTestBytes = network.evaluatorBytes(capacity: 1, workers: workers)
    }

    /// The most that is held at a time from the first byte read to the first answer.
    ///
    /// - Parameter fileBytes: length of the file that is read into memory; it is freed once the weights are packed.
    public func peakBytes(fileBytes: Int) -> Int {
        max(modelBytes + fileBytes + packingBytes, servingBytes + selfTestBytes)
    }
}
