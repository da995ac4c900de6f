import CheckpointFormats
import FlowModel
import ReverseODE
import Tensor
import UntrustedText

/// A model to be written with a record of what it answers to a fixed input; see `SelfTestRecord`.
package struct SelfTestedModel {
    private let configuration: ModelConfiguration
    private let type: ElementType
    private let kernels: Kernels
    private let pool: WorkerPool

    /// Describes a model.
    ///
    /// - Parameters:
    ///   - type: how its weights are stored.
    ///   - kernels: what computes its answer.
    package init(configuration: ModelConfiguration, type: ElementType, kernels: Kernels, pool: WorkerPool) {
        self.configuration = configuration
        self.type = type
        self.kernels = kernels
        self.pool = pool
    }

    /// Writes the model; what is at `path` is replaced only once everything is on the disk.
    ///
    /// - Parameter weights: a tensor's weights by its key in a model file.
    /// - Throws: `CheckpointError`, `ModelError`, `ModelLoadingError`, and `TapError` if the default tap is not the model's.
    package func write(to path: String, weights: @escaping (String) throws -> [Float]) throws {
        let type = type
        let model = try ReversibleModel(configuration: configuration, kernels: kernels, pool: pool) { key in
            try CheckpointError.locating(in: "tensor \(quoted(key))") { try type.rounded(try weights(key)) }
        }
        var configuration = configuration
        configuration.selfTest = try CheckpointSelfTest(kernels: kernels, pool: pool).record(model)
        try ModelFile.write(configuration, to: path, storing: type, weights: weights)
    }
}
