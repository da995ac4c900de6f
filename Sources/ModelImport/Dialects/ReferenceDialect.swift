import FlowModel
import UntrustedText

/// Checkpoints of PRG's reference implementation, fine-tuned or only pretrained.
///
/// Width, depth, multipliers, attention places, the head's sizes and the number of classes follow from keys and shapes;
/// the rest isn't in such a file and is given by the user who imports it (PRG, section 2).
struct ReferenceDialect: Dialect {
    let name = "PRG"
    let options: Set<ImportOption> = [.imageSize, .heads, .path, .grid, .labels]

    func recognises(_ source: ImportSource) -> Bool {
        source.topLevelNames.contains("model") && !RectifiedFlow().recognises(source)
    }

    func plan(for source: ImportSource, _ settings: ImportSettings) throws -> ImportPlan {
        guard let path = settings.path, let grid = settings.grid, let imageSize = settings.imageSize else {
            let option: ImportOption =
                settings.imageSize == nil ? .imageSize : settings.path == nil ? .path : .grid
            throw ImportError.options("--\(option.rawValue) is missing: no checkpoint of PRG contains it")
        }
        let tensors = try Self.canonical(source.group("model"))
        let head = try Self.head(tensors)
        let configuration = ModelConfiguration(
            name: settings.name,
            architecture: try Self.architecture(tensors, heads: settings.heads ?? 4, imageSize: imageSize),
            head: head, path: path, grid: grid, solver: settings.solver,
            preprocessing: settings.preprocessing ?? .reference(imageSize: imageSize), labels: settings.labels)
        return ImportPlan(configuration: configuration, source: tensors, table: { .source($0.key) })
    }
}

// MARK: - Keys

extension ReferenceDialect {
    /// Where the two kinds of checkpoint keep the network and the head.
    private static let prefixes = [
        (network: "grlEncoder.diffusionModel.model.model.backbone.unet.", head: "grlHead."),
        (network: "model.backbone.unet.", head: nil),
    ]

    /// The state dict's tensors by their keys in a model file.
    private static func canonical(_ state: SourceTensors) throws -> SourceTensors {
        let kinds = prefixes.filter { kind in state.containsPrefix(kind.network) }
        guard let kind = kinds.first, kinds.count == 1 else {
            throw ModelError.unknownCheckpoint(
                "of \(state.names.count) keys \(kinds.isEmpty ? "none begins" : "some begin") with "
                    + prefixes.map { quoted($0.network) }.joined(separator: kinds.isEmpty ? " or " : " and some with ")
                    + (state.names.first.flatMap { state[$0] }.map { "; the first is \(quoted($0.name))" } ?? ""))
        }
        let found = state.renamed { key in
            if key.hasPrefix(kind.network) { return ModelFile.networkPrefix + key.dropFirst(kind.network.count) }
            guard let head = kind.head, key.hasPrefix(head) else { return nil }
            return ModelFile.headPrefix + key.dropFirst(head.count)
        }
        if let other = state.names.first(where: { name in
            !name.hasPrefix(kind.network) && !(kind.head.map(name.hasPrefix) ?? false)
        }), let tensor = state[other] {
            throw ModelError.unexpectedTensor(key: tensor.name)
        }
        guard kind.head == nil || found.containsPrefix(ModelFile.headPrefix) else {
            throw ModelError.unknownCheckpoint(
                "it is fine-tuned, but no key begins with \(quoted(kind.head ?? "")), the prefix of the head")
        }
        return found
    }
}

// MARK: - Inference from keys and shapes

extension ReferenceDialect {
    /// The architecture that the encoder's keys and widths tell; the comparison with its parameters checks all the rest.
    private static func architecture(
        _ tensors: SourceTensors, heads: Int, imageSize: Int
    ) throws -> UNetArchitecture {
        let modelChannels = try extent(0, of: "input_blocks.0.0.weight", in: tensors)
        var levels: [Level] = [Level()]
        for index in 1... {
            let stage = "input_blocks.\(index)"
            let prefix = ModelFile.networkPrefix + stage
            if tensors.contains("\(prefix).0.in_layers.0.weight") {
                let width = try extent(0, of: "\(stage).0.in_layers.2.weight", in: tensors)
                let hasAttention = tensors.contains("\(prefix).1.qkv.weight")
                levels[levels.count - 1].append(width: width, hasAttention: hasAttention)
            } else if tensors.contains("\(prefix).0.op.weight") {
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
    private static func head(_ tensors: SourceTensors) throws -> HeadConfiguration? {
        guard tensors.containsPrefix(ModelFile.headPrefix) else { return nil }
        let inputs = try extent(0, of: "classifier.0.weight", in: tensors, prefix: ModelFile.headPrefix)
        let side = Int((Double(inputs) / 3).squareRoot())
        let head = HeadConfiguration(
            pooledSize: side,
            hiddenWidth: try extent(0, of: "classifier.1.weight", in: tensors, prefix: ModelFile.headPrefix),
            classes: try extent(0, of: "classifier.3.weight", in: tensors, prefix: ModelFile.headPrefix))
        try head.validate()
        guard head.representationWidth == inputs else {
            throw ModelError.unknownCheckpoint(
                "the head normalises \(inputs) numbers, which is not 3 times a square")
        }
        return head
    }

    private static func extent(
        _ dimension: Int, of key: String, in tensors: SourceTensors, prefix: String = ModelFile.networkPrefix
    ) throws -> Int {
        guard let shape = tensors[prefix + key]?.shape, shape.indices.contains(dimension) else {
            throw ModelError.unknownCheckpoint("tensor \(quoted(prefix + key)), which determines a width, is missing")
        }
        return shape[dimension]
    }
}
