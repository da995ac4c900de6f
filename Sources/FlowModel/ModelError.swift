import CheckpointFormats
import UntrustedText

/// Why a model file or a checkpoint doesn't hold the model it should.
public enum ModelError: Error, Equatable, CustomStringConvertible {
    /// A safetensors file without a Headwater configuration.
    case noConfiguration
    /// The configuration document isn't readable as one.
    case unreadableConfiguration(String)
    /// The configuration asks for what can't be served.
    case invalidConfiguration(ConfigurationError)
    /// A tensor that the model needs isn't there.
    case missingTensor(key: String, expected: [Int])
    /// A tensor that the model has no place for.
    case unexpectedTensor(key: String)
    /// Two tensors have the same name once `module.` and `_orig_mod.` are removed.
    case duplicateTensor(key: String)
    /// A tensor has another shape than the model needs.
    case wrongShape(key: String, expected: [Int], found: [Int])
    /// A tensor isn't of a type that weights are stored in.
    case wrongElementType(key: String, found: ElementType)
    /// A weight is infinite or not a number.
    case nonFiniteWeight(key: String, index: Int)
    /// The checkpoint's keys are not those of a known kind of model.
    case unknownCheckpoint(String)

    /// What is wrong, where, and what was expected.
    public var description: String {
        switch self {
        case .noConfiguration:
            "it has no Headwater configuration; import the original checkpoint with 'headwater import'"
        case .unreadableConfiguration(let problem): "its configuration can't be read: \(problem)"
        case .invalidConfiguration(let error): "its configuration is not valid: \(error)"
        case .missingTensor(let key, let expected): "tensor \(quoted(key)) of shape \(expected) is missing"
        case .unexpectedTensor(let key): "tensor \(quoted(key)) is not part of the model"
        case .duplicateTensor(let key): "tensor \(quoted(key)) appears twice after the names of wrappers are removed"
        case .wrongShape(let key, let expected, let found):
            "tensor \(quoted(key)) has shape \(found); the model needs \(expected)"
        case .wrongElementType(let key, let found):
            "tensor \(quoted(key)) is stored as \(found.rawValue); weights must be F32, F16 or BF16"
        case .nonFiniteWeight(let key, let index): "tensor \(quoted(key)) is not finite at number \(index)"
        case .unknownCheckpoint(let problem): problem
        }
    }
}

extension ModelError {
    /// Compares a tensor with the place it is meant for.
    ///
    /// - Throws: `wrongShape` or `wrongElementType`.
    static func check(key: String, shape: [Int], type: ElementType, against expected: [Int]) throws(ModelError) {
        guard shape == expected else { throw .wrongShape(key: key, expected: expected, found: shape) }
        guard [.f32, .f16, .bf16].contains(type) else { throw .wrongElementType(key: key, found: type) }
    }

    /// Checks that a tensor's weights are finite.
    ///
    /// - Throws: `nonFiniteWeight` for the first that isn't.
    package static func requireFinite(_ values: [Float], key: String) throws(ModelError) {
        if let index = firstNonFinite(values) { throw .nonFiniteWeight(key: key, index: index) }
    }

    /// Runs `body`, whose error becomes `invalidConfiguration`.
    static func configuring<R>(_ body: () throws(ConfigurationError) -> R) throws(ModelError) -> R {
        do {
            return try body()
        } catch {
            throw .invalidConfiguration(error)
        }
    }
}
