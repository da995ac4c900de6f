public import FlowModel
public import ImagePipeline
import Machine
public import ReverseODE

/// Which checkpoint computed an answer.
public struct ModelVersion: Hashable, Sendable {
    /// The model's name, from its configuration.
    public let name: String
    /// SHA-256 of the checkpoint file, 64 lowercase hexadecimal digits.
    public let sha256: String

    /// Names a version.
    public init(name: String, sha256: String) {
        self.name = name
        self.sha256 = sha256
    }

    /// The digest's first 12 digits: what responses and logs call the version.
    public var label: String { String(sha256.prefix(12)) }
}

/// A checkpoint as it is served: the model, its identity, and how images become its input. Immutable.
public final class ServedModel: Sendable {
    /// The model.
    public let model: ReversibleModel
    /// Name and digest.
    public let version: ModelVersion
    /// Size in bytes of the checkpoint.
    public let byteCount: Int
    /// Element type of the stored weights, as safetensors names it: `F32`, `F16`, `BF16`.
    public let storedType: String
    /// From image bytes to model input.
    public let preprocessing: Preprocessing

    /// Puts a served model together.
    ///
    /// - Throws: `Preprocessing.InvalidParameters` if the configuration's preprocessing makes no sense.
    public init(
        model: ReversibleModel, version: ModelVersion, byteCount: Int, storedType: String
    ) throws(Preprocessing.InvalidParameters) {
        self.model = model
        self.version = version
        self.byteCount = byteCount
        self.storedType = storedType
        let configuration = model.configuration.preprocessing
        preprocessing = try Preprocessing(
            resizeShorterSide: configuration.resizeShorterSide, cropSize: configuration.cropSize,
            mean: configuration.mean, standardDeviation: configuration.standardDeviation)
    }

    deinit { ProcessMemory.scheduleTrim() }

    /// The model's configuration.
    public var configuration: ModelConfiguration { model.configuration }
}
