public import CheckpointFormats
import FlowModel
import ReverseODE
public import Tensor

/// Turns checkpoints into models ready to be served. Slow: for Dispatch threads, not for the cooperative pool.
public struct ModelLoader: Sendable {
    private let precision: Precision
    private let pool: WorkerPool

    /// Loads models that compute in `precision`, the workers of `pool` sharing the packing of weights.
    public init(precision: Precision = .f32, pool: WorkerPool) {
        self.precision = precision
        self.pool = pool
    }

    /// Loads the checkpoint at `path`, reading it whole, so that nobody who changes the file later changes the model.
    ///
    /// - Parameter sha256: the digest that the file must have, if the caller knows it.
    /// - Throws: `CheckpointError`, `ModelError` or `ModelLoadingError`.
    public func load(path: String, sha256: String? = nil) throws -> ServedModel {
        try load(SafetensorsFile(path: path, access: .load), sha256: sha256)
    }

    /// Loads a checkpoint that has been opened, such as the one built into the program.
    ///
    /// - Throws: as `load(path:sha256:)`.
    public func load(_ file: SafetensorsFile, sha256: String? = nil) throws -> ServedModel {
        let modelFile = try ModelFile(file)
        let digest = modelFile.sha256.description
        if let sha256, sha256.lowercased() != digest {
            throw ModelLoadingError(
                description: "the checkpoint's SHA-256 is \(digest), not \(sha256): it is not the file that was meant")
        }
        try modelFile.requireFiniteWeights()
        let model = try ReversibleModel(configuration: modelFile.configuration, precision: precision, pool: pool) {
            try modelFile.tensor($0)
        }
        // A default tap that the model doesn't have would fail every plain request.
        _ = try model.defaultTap()
        return try ServedModel(
            model: model, version: ModelVersion(name: modelFile.configuration.name, sha256: digest),
            byteCount: modelFile.byteCount,
            storedType: modelFile.elementTypes.map(\.rawValue).joined(separator: "+"))
    }
}

/// Why a checkpoint that is well-formed was not loaded.
public struct ModelLoadingError: Error, Equatable, Sendable, CustomStringConvertible {
    /// What is wrong.
    public let description: String
}
