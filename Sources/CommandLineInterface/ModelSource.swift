import Arguments
import CBundledModel
import CheckpointFormats
import FeatureService
import FlowModel
import Tensor

/// Where a command's model comes from: a file, or the one built into the program.
enum ModelSource {
    static let option = Option(
        "model", optional: .file,
        help: "The model file, written by 'headwater import' or training. The default is the bundled model.")

    static let options = OptionGroup("Model", [option])

    /// Opens the model file at `path`, or the bundled one.
    ///
    /// - Throws: `CheckpointError`.
    static func file(_ path: String?, access: SafetensorsFile.Access = .load) throws -> SafetensorsFile {
        if let path { return try SafetensorsFile(path: path, access: access) }
        return try SafetensorsFile(
            staticBytes: UnsafeRawBufferPointer(start: bundled_model_bytes(), count: bundled_model_length()))
    }

    /// Loads the model for computing batches of up to `batch` images.
    ///
    /// - Parameter change: what to load the weights as, given the file's configuration.
    /// - Throws: `CheckpointError`, `ModelError`, `ModelLoadingError`, `ConfigurationError`, `InsufficientMemory`.
    static func load(
        _ path: String?, _ computation: Computation, batch: Int = 1,
        as change: @escaping @Sendable (ModelConfiguration) -> ModelConfiguration = { $0 }
    ) throws -> ServedModel {
        let loader = ModelLoader(
            precision: computation.precision, kernels: computation.kernels, pool: computation.pool, capacity: batch,
            as: change)
        return if let path { try loader.load(path: path) } else { try loader.load(file(nil)) }
    }
}
