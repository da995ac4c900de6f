import CheckpointFormats
import Digests
import JSON
public import Networks

/// A model as it is served: a safetensors file whose `__metadata__` holds the configuration as one JSON document under
/// `headwater`, and whose tensors are exactly those of the configuration's network and head, named `unet.<key>` and
/// `head.classifier.<…>`, in f32, f16 or bf16.
///
/// Everything but the weights' values is checked when it is opened; `requireFiniteWeights()` checks those.
public struct ModelFile: Sendable {
    /// The `__metadata__` key that the configuration is under.
    public static let metadataKey = "headwater"
    /// The longest configuration document that is read, in bytes of UTF-8.
    public static let largestConfiguration = 8 << 20

    /// The configuration, valid.
    public let configuration: ModelConfiguration
    /// The velocity network, without weights.
    public let network: NetworkProgram
    /// Every tensor of the model, in the reference's order: the network's, then the head's.
    public let parameters: [ParameterShape]

    private let file: SafetensorsFile

    /// Checks that `file` holds a model.
    ///
    /// - Throws: `ModelError`.
    public init(_ file: SafetensorsFile) throws {
        guard let document = file.metadata[Self.metadataKey] else { throw ModelError.noConfiguration }
        configuration = try Self.decode(document)
        network = try ModelError.configuring(configuration.network)
        parameters = Self.parameters(of: network, head: configuration.head)
        for parameter in parameters {
            guard let tensor = file[parameter.key] else {
                throw ModelError.missingTensor(key: parameter.key, expected: parameter.shape)
            }
            try ModelError.check(
                key: parameter.key, shape: tensor.shape, type: tensor.type, against: parameter.shape)
        }
        if file.tensors.count > parameters.count {
            let known = Set(parameters.map(\.key))
            throw ModelError.unexpectedTensor(key: file.tensors.first { !known.contains($0.name) }!.name)
        }
        self.file = file
    }

    /// Opens and checks the model at `path`.
    ///
    /// - Parameter access: `load` for serving; `onDemand` for looking at a file without reading its weights.
    /// - Throws: `CheckpointError` or `ModelError`.
    public init(path: String, access: SafetensorsFile.Access = .load) throws {
        try self.init(SafetensorsFile(path: path, access: access))
    }

    /// How many weights the model has.
    public var parameterCount: Int { parameters.reduce(0) { $0 + $1.count } }

    /// The file's length in bytes.
    public var byteCount: Int { file.byteCount }

    /// The types that weights are stored in, each once; nearly always one.
    public var elementTypes: [ElementType] {
        ElementType.allCases.filter { type in file.tensors.contains { $0.type == type } }
    }

    /// A tensor's weights as f32, row-major in the shape that `parameters` gives.
    ///
    /// - Parameter key: such as `unet.out.2.weight` or `head.classifier.3.weight`.
    /// - Throws: `CheckpointError` of kind `missing` if the model has no such tensor.
    public func tensor(_ key: String) throws -> [Float] { try file.floats(of: key) }

    /// The SHA-256 digest of the file; computed when it is first asked for.
    ///
    /// - Throws: `FileError` if the file is read on demand and can't be.
    public var sha256: SHA256.Digest { get throws { try file.sha256 } }

    /// Checks that every weight is finite.
    ///
    /// - Throws: `ModelError.nonFiniteWeight` for the first that isn't.
    public func requireFiniteWeights() throws {
        for parameter in parameters { try ModelError.requireFinite(try tensor(parameter.key), key: parameter.key) }
    }
}

// MARK: - Writing

extension ModelFile {
    /// Writes a model, replacing what is at `path` only once everything is on the disk. The same model gives the same
    /// bytes.
    ///
    /// - Parameters:
    ///   - configuration: the model's configuration.
    ///   - path: where.
    ///   - type: how the weights are stored: `f32`, `f16` or `bf16`, rounded to nearest even.
    ///   - weights: a tensor's weights, row-major, by its key in the file; called once for each of the model's tensors.
    /// - Throws: `ConfigurationError` if the configuration isn't valid, `CheckpointError` if the file can't be written or a
    ///   weight is too large for the type, `ModelError.nonFiniteWeight`, and whatever `weights` throws.
    public static func write(
        _ configuration: ModelConfiguration, to path: String, storing type: ElementType = .f32,
        weights: (_ key: String) throws -> [Float]
    ) throws {
        try configuration.validate()
        let parameters = try parameters(of: configuration)
        let tensors = try parameters.map { try TensorDescription(name: $0.key, type: type, shape: $0.shape) }
        let metadata = [metadataKey: try JSONCoder.text(configuration)]
        try SafetensorsWriter.write(tensors, metadata: metadata, to: path) { tensor in
            let values = try weights(tensor.name)
            try ModelError.requireFinite(values, key: tensor.name)
            return .floats(values)
        }
    }

    private static func decode(_ document: String) throws -> ModelConfiguration {
        guard document.utf8.count <= largestConfiguration else {
            throw ModelError.unreadableConfiguration("it is longer than \(largestConfiguration) bytes")
        }
        let configuration = try value(ModelConfiguration.self, of: document)
        try ModelError.configuring(configuration.validate)
        return configuration
    }

    /// Decodes a document that may be hostile.
    ///
    /// - Throws: `ModelError.unreadableConfiguration`.
    fileprivate static func value<Value: Decodable>(_ type: Value.Type, of document: String) throws -> Value {
        do {
            return try JSONCoder.decode(type, from: document.utf8)
        } catch {
            throw ModelError.unreadableConfiguration("\(error)")
        }
    }
}

extension UNetArchitecture {
    /// Reads a JSON document with the keys that a configuration has under `architecture`.
    ///
    /// - Throws: `ModelError` if it can't be read, or the network can't be built.
    public init(json: String) throws {
        self = try ModelFile.value(Self.self, of: json)
        try ModelError.configuring(validate)
    }
}

// MARK: - Keys

extension ModelFile {
    /// What the network's keys begin with.
    package static let networkPrefix = "unet."
    /// What the head's keys begin with.
    package static let headPrefix = "head."

    /// The key that a model file has for a parameter of the network (`NetworkProgram.parameters`) or of the head
    /// (`HeadConfiguration.parameters(on:)`), such as `unet.out.2.bias` for `out.2.bias`.
    public static func key(ofParameter key: String) -> String {
        (key.hasPrefix("classifier.") ? headPrefix : networkPrefix) + key
    }

    /// The parameter whose key in a model file that is.
    public static func parameter(ofKey key: String) -> String { String(key.drop { $0 != "." }.dropFirst()) }

    /// The tensors that a model of this configuration has, in the reference's order.
    ///
    /// - Throws: `ConfigurationError` if the architecture can't be built.
    public static func parameters(of configuration: ModelConfiguration) throws(ConfigurationError) -> [ParameterShape] {
        parameters(of: try configuration.network(), head: configuration.head)
    }

    private static func parameters(of network: NetworkProgram, head: HeadConfiguration?) -> [ParameterShape] {
        (network.parameters + (head?.parameters(on: network) ?? [])).map {
            ParameterShape(key: key(ofParameter: $0.key), shape: $0.shape, startsAtZero: $0.startsAtZero)
        }
    }
}
