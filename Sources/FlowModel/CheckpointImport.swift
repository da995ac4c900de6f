import CheckpointFormats
public import Networks
import UntrustedText

/// A checkpoint of the reference implementation, understood: its configuration, and which tensor goes where.
///
/// Width, depth, multipliers, attention places, the head's sizes and the number of classes follow from keys and shapes;
/// the rest isn't in such a file and is given by the user who imports it (PRG, section 2).
public struct CheckpointImport {
    /// What the file doesn't say.
    public struct Settings: Sendable, Equatable {
        /// The model's name.
        public var name: String
        /// Height and width of the images that it was trained on.
        public var imageSize: Int
        /// The path that it was trained on.
        public var path: ProbabilityPath
        /// The reverse pass's grid: the reference's `t_span` and `t_cutoff`.
        public var grid: TimeGridConfiguration
        /// The reverse pass's solver; `euler` is what the reference runs.
        public var solver: Solver = .euler
        /// Heads of the attention blocks; 4 in the published models.
        public var heads = 4
        /// Class names in the order of the logits.
        public var labels: [String]?
        /// From encoded image to input; nil for the reference's transform.
        public var preprocessing: PreprocessingConfiguration?

        /// The settings that have no default; the others may be set afterwards.
        public init(name: String, imageSize: Int, path: ProbabilityPath, grid: TimeGridConfiguration) {
            self.name = name
            self.imageSize = imageSize
            self.path = path
            self.grid = grid
        }
    }

    /// The model's configuration, valid.
    public let configuration: ModelConfiguration
    /// Every tensor of the model by its key in the model file, in the reference's order.
    public let parameters: [ParameterShape]

    private let archive: PyTorchArchive
    private let tensors: [String: PyTorchTensor]

    /// Understands the checkpoint's `model`; no weights are read yet.
    ///
    /// - Throws: `CheckpointError` if there is no state dict, `ModelError` naming the first key that is missing, left over
    ///   or of another shape than the others call for, `ConfigurationError` if the settings don't fit.
    public init(_ archive: PyTorchArchive, settings: Settings) throws {
        let found = try Self.fileKeys(of: archive.stateDictionary("model"))
        let shapes = found.mapValues(\.tensor.shape)
        let head = try Self.head(shapes)
        configuration = ModelConfiguration(
            name: settings.name,
            architecture: try Self.architecture(shapes, heads: settings.heads, imageSize: settings.imageSize),
            head: head, path: settings.path, grid: settings.grid, solver: settings.solver,
            preprocessing: settings.preprocessing ?? .reference(imageSize: settings.imageSize),
            labels: settings.labels)
        try configuration.validate()
        parameters = try ModelFile.parameters(of: configuration)
        try Self.compare(found, with: parameters)
        try Self.requirePlausibleSize(found, archiveByteCount: archive.byteCount)
        self.archive = archive
        tensors = found.mapValues(\.tensor)
    }

    /// A tensor's weights, row-major.
    ///
    /// - Parameter key: a key of `parameters`.
    /// - Throws: `CheckpointError` if the numbers are missing or damaged.
    public func weights(_ key: String) throws -> [Float] {
        guard let tensor = tensors[key] else {
            throw CheckpointError(.missing, "the tensor \(quoted(key)) is missing")
        }
        return try archive.floats(of: tensor)
    }

    /// A tensor's weights, row-major, as a model file that stores them as `type` gives them back.
    ///
    /// - Throws: as `write(to:storing:selfTest:)` does for weights that can't be stored.
    public func weights(_ key: String, storedAs type: ElementType) throws -> [Float] {
        let values = try weights(key)
        try ModelError.requireFinite(values, key: key)
        return try CheckpointError.locating(in: "tensor \(quoted(key))") { try type.rounded(values) }
    }

    /// Writes the model for serving; see `ModelFile.write(_:to:storing:weights:)`.
    ///
    /// - Parameter selfTest: what the model answers with its weights stored as `type`.
    public func write(to path: String, storing type: ElementType = .f32, selfTest: SelfTestRecord? = nil) throws {
        var configuration = configuration
        configuration.selfTest = selfTest
        try ModelFile.write(configuration, to: path, storing: type, weights: weights)
    }
}

// MARK: - Keys

extension CheckpointImport {
    /// Where the two kinds of checkpoint keep the network and the head.
    private static let prefixes = [
        (network: "grlEncoder.diffusionModel.model.model.backbone.unet.", head: "grlHead."),
        (network: "model.backbone.unet.", head: nil),
    ]

    /// The state dict's tensors by their key in a model file.
    private static func fileKeys(
        of state: [PyTorchArchive.NamedTensor]
    ) throws -> [String: PyTorchArchive.NamedTensor] {
        var plain: [String: PyTorchArchive.NamedTensor] = [:]
        for entry in state {
            let key = removingWrappers(entry.name)
            guard plain.updateValue(entry, forKey: key) == nil else { throw ModelError.duplicateTensor(key: key) }
        }
        let kinds = prefixes.filter { kind in plain.keys.contains { $0.hasPrefix(kind.network) } }
        guard let kind = kinds.first, kinds.count == 1 else {
            throw ModelError.unknownCheckpoint(
                "of \(plain.count) keys \(kinds.isEmpty ? "none begins" : "some begin") with "
                    + prefixes.map { quoted($0.network) }.joined(separator: kinds.isEmpty ? " or " : " and some with ")
                    + (state.first.map { "; the first is \(quoted($0.name))" } ?? ""))
        }
        var found: [String: PyTorchArchive.NamedTensor] = [:]
        for (key, entry) in plain {
            if key.hasPrefix(kind.network) {
                found[ModelFile.networkPrefix + key.dropFirst(kind.network.count)] = entry
            } else if let head = kind.head, key.hasPrefix(head) {
                found[ModelFile.headPrefix + key.dropFirst(head.count)] = entry
            } else {
                throw ModelError.unexpectedTensor(key: entry.name)
            }
        }
        guard kind.head == nil || found.keys.contains(where: { $0.hasPrefix(ModelFile.headPrefix) }) else {
            throw ModelError.unknownCheckpoint(
                "it is fine-tuned, but no key begins with \(quoted(kind.head ?? "")), the head")
        }
        return found
    }

    /// A key without the components that data-parallel and compiled modules put in.
    private static func removingWrappers(_ key: String) -> String {
        key.split(separator: ".", omittingEmptySubsequences: false)
            .filter { $0 != "module" && $0 != "_orig_mod" }
            .joined(separator: ".")
    }

    private static func compare(
        _ found: [String: PyTorchArchive.NamedTensor], with parameters: [ParameterShape]
    ) throws {
        for parameter in parameters {
            guard let entry = found[parameter.key] else {
                throw ModelError.missingTensor(key: parameter.key, expected: parameter.shape)
            }
            try ModelError.check(
                key: entry.name, shape: entry.tensor.shape, type: entry.tensor.type, against: parameter.shape)
        }
        let known = Set(parameters.map(\.key))
        let leftOver = found.filter { !known.contains($0.key) }.map(\.value.name).min()
        if let leftOver { throw ModelError.unexpectedTensor(key: leftOver) }
    }

    /// A hostile file could let every key share one large storage and unfold to terabytes.
    private static func requirePlausibleSize(
        _ found: [String: PyTorchArchive.NamedTensor], archiveByteCount: Int
    ) throws {
        let byteCount = found.values.reduce(0) { sum, entry in
            sum + entry.tensor.shape.reduce(entry.tensor.type.byteCount, *)
        }
        guard byteCount <= archiveByteCount else {
            throw CheckpointError(
                .malformed,
                "the weights take \(byteCount) bytes, the file only \(archiveByteCount): tensors share storages")
        }
    }
}

// MARK: - Inference from keys and shapes

extension CheckpointImport {
    /// The architecture that the encoder's keys and widths tell; the comparison with its parameters checks all the rest.
    private static func architecture(
        _ shapes: [String: [Int]], heads: Int, imageSize: Int
    ) throws -> UNetArchitecture {
        let modelChannels = try extent(0, of: "input_blocks.0.0.weight", in: shapes)
        var levels: [Level] = [Level()]
        for index in 1... {
            let stage = "input_blocks.\(index)"
            let prefix = ModelFile.networkPrefix + stage
            if shapes["\(prefix).0.in_layers.0.weight"] != nil {
                let width = try extent(0, of: "\(stage).0.in_layers.2.weight", in: shapes)
                let hasAttention = shapes["\(prefix).1.qkv.weight"] != nil
                levels[levels.count - 1].append(width: width, hasAttention: hasAttention)
            } else if shapes["\(prefix).0.op.weight"] != nil {
                levels.append(Level())
            } else {
                break
            }
        }
        return UNetArchitecture(
            modelChannels: modelChannels, residualBlocks: levels[0].blocks,
            channelMultipliers: try levels.enumerated().map { index, level in
                guard modelChannels > 0, level.width.isMultiple(of: modelChannels), level.blocks > 0 else {
                    throw ModelError.unknownCheckpoint(
                        "level \(index) of the network has \(level.blocks) residual blocks of width \(level.width), which "
                            + "must be at least one and a multiple of the model channels, \(modelChannels)")
                }
                return Double(level.width / modelChannels)
            },
            // Shifting further than an Int is wide gives 0, which validation refuses, as it does so many levels.
            attentionDownsampling: levels.indices.filter { levels[$0].hasAttention }.map { 1 << $0 },
            heads: heads, imageSize: imageSize)
    }

    /// What a level's first residual block tells about all of them.
    private struct Level {
        var blocks = 0
        var width = 0
        var hasAttention = false

        mutating func append(width: Int, hasAttention: Bool) {
            if blocks == 0 { (self.width, self.hasAttention) = (width, hasAttention) }
            blocks += 1
        }
    }

    /// The head's sizes; nil if there are no keys of a head.
    private static func head(_ shapes: [String: [Int]]) throws -> HeadConfiguration? {
        guard shapes.keys.contains(where: { $0.hasPrefix(ModelFile.headPrefix) }) else { return nil }
        let inputs = try extent(0, of: "classifier.0.weight", in: shapes, prefix: ModelFile.headPrefix)
        let side = Int((Double(inputs) / 3).squareRoot())
        let head = HeadConfiguration(
            pooledSize: side,
            hiddenWidth: try extent(0, of: "classifier.1.weight", in: shapes, prefix: ModelFile.headPrefix),
            classes: try extent(0, of: "classifier.3.weight", in: shapes, prefix: ModelFile.headPrefix))
        try head.validate()
        guard head.representationWidth == inputs else {
            throw ModelError.unknownCheckpoint(
                "the head normalises \(inputs) numbers, which are not three channels of a square")
        }
        return head
    }

    private static func extent(
        _ dimension: Int, of key: String, in shapes: [String: [Int]], prefix: String = ModelFile.networkPrefix
    ) throws -> Int {
        guard let shape = shapes[prefix + key], shape.indices.contains(dimension) else {
            throw ModelError.unknownCheckpoint("tensor \(quoted(prefix + key)), which determines a width, is missing")
        }
        return shape[dimension]
    }
}
