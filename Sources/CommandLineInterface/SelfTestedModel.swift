import CheckpointFormats
import FeatureService
import FlowModel
import ReverseODE
import Tensor
import UntrustedText

/// A model to be written, as `headwater import` writes those of others: with a record of what it answers.
struct SelfTestedModel {
    let configuration: ModelConfiguration
    let type: ElementType
    let kernels: Kernels
    let pool: WorkerPool

    /// Writes the model; what is at `path` is replaced only once everything is on the disk.
    ///
    /// - Parameter weights: a tensor's weights by its key in a model file.
    /// - Throws: `CheckpointError`, `ModelError`, `ModelLoadingError`, and `TapError` if the default tap is not the model's.
    func write(to path: String, weights: @escaping (String) throws -> [Float]) throws {
        let type = type
        let model = try ReversibleModel(configuration: configuration, kernels: kernels, pool: pool) { key in
            try CheckpointError.locating(in: "tensor \(quoted(key))") { try type.rounded(try weights(key)) }
        }
        var configuration = configuration
        configuration.selfTest = try CheckpointSelfTest(kernels: kernels, pool: pool).record(model)
        try ModelFile.write(configuration, to: path, storing: type, weights: weights)
    }
}
