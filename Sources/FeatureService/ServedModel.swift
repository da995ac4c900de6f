import FlowModel
import ImagePipeline
import Machine
import ReverseODE

/// Which checkpoint computed an answer.
package struct ModelVersion: Hashable, Sendable {
    /// The model's name, from its configuration.
    package let name: String
    /// SHA-256 of the checkpoint file, 64 lowercase hexadecimal digits.
    package let sha256: String

    /// The digest's first 12 digits: what responses and logs call the version.
    package var label: String { String(sha256.prefix(12)) }
}

/// A checkpoint as it is served: the model, its identity, and how images become its input. Immutable.
package final class ServedModel: Sendable {
    package let model: ReversibleModel
    package let version: ModelVersion
    package let byteCount: Int
    /// Element type of the stored weights, as safetensors names it: `F32`, `F16`, `BF16`.
    package let storedType: String
    package let preprocessing: Preprocessing
    /// Floating-point operations of the default embedding of an image.
    let usualOperations: Double

    /// Puts a served model together.
    ///
    /// - Throws: `Preprocessing.InvalidParameters` if the configuration's preprocessing makes no sense, `TapError` if the model lacks
    ///   its default tap, `ModelLoadingError` if that has more numbers than a request may have.
    package init(model: ReversibleModel, version: ModelVersion, byteCount: Int, storedType: String) throws {
        self.model = model
        self.version = version
        self.byteCount = byteCount
        self.storedType = storedType
        // A default tap that the model doesn't have, or that is too large, would fail every plain request.
        let tap = try model.defaultTap()
        guard tap.dimension <= AnswerMemory.maximumNumbersOfEmbeddings else {
            throw ModelLoadingError(
                description:
                    "the default tap \(model.configuration.defaultTap) has \(tap.dimension) numbers, more than the "
                    + "\(AnswerMemory.maximumNumbersOfEmbeddings) of a request; choose another with 'headwater convert --default-tap'"
            )
        }
        usualOperations = PassExtent(taps: [tap], wantsLogits: false, model: model).operations(on: model)
        let configuration = model.configuration.preprocessing
        preprocessing = try Preprocessing(
            resizeShorterSide: configuration.resizeShorterSide, cropSize: configuration.cropSize,
            mean: configuration.mean, standardDeviation: configuration.standardDeviation)
    }

    deinit { ProcessMemory.scheduleTrim() }

    package var configuration: ModelConfiguration { model.configuration }
}
