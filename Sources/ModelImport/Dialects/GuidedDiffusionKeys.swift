import FlowModel

/// The keys of guided-diffusion, which improved-diffusion, consistency_models and torchcfm share: the architecture that they and
/// the shapes tell, and the table, in which all tensors keep their names.
struct GuidedDiffusionKeys {
    /// The tensors by these keys.
    let tensors: SourceTensors

    /// Whether there are such keys.
    static func areIn(_ tensors: SourceTensors) -> Bool { tensors.contains("input_blocks.0.0.weight") }

    /// Whether a level ends with a residual block that resamples.
    var hasResidualResampling: Bool {
        tensors.names.contains { name in
            name.hasPrefix("output_blocks.") && (name.contains(".1.in_layers.") || name.contains(".2.in_layers."))
        }
    }

    /// Whether attention's products are 1x1 convolutions over planes, as that in the middle shows.
    var hasPlanarAttention: Bool { tensors["middle_block.1.qkv.weight"]?.shape.count == 4 }

    /// What the tensors and the settings tell.
    ///
    /// - Throws: `ImportError` if a tensor is missing that determines a width.
    func architecture(_ settings: ImportSettings) throws -> UNetArchitecture {
        let modelChannels = try tensors.extent(1, of: "time_embed.0.weight")
        let (blocks, levels) = try stages()
        let widths = try (0..<levels).map { level in
            try tensors.extent(0, of: "output_blocks.\((levels - 1 - level) * (blocks + 1)).0.in_layers.2.weight")
        }
        guard modelChannels > 0 else { throw ImportError.unusable("'time_embed.0.weight' has no columns") }
        var variant = UNetVariant.reference
        let modulation = try tensors.extent(0, of: "middle_block.0.emb_layers.1.weight")
        variant.modulation = modulation == 2 * widths[levels - 1] ? .film : .additive
        variant.resampling = hasResidualResampling ? .residual : .convolution
        let inputWidth = try tensors.extent(0, of: "input_blocks.0.0.weight")
        variant.inputWidth = inputWidth == modelChannels ? nil : inputWidth
        var heads = 1
        switch try settings.attentionHeads() {
        case .count(let count): heads = count
        case .width(let width): variant.headWidth = width
        }
        return UNetArchitecture(
            modelChannels: modelChannels, residualBlocks: blocks,
            channelMultipliers: widths.map { Double($0) / Double(modelChannels) },
            attentionDownsampling: (0..<levels).filter { level in
                tensors.contains("input_blocks.\(1 + level * (blocks + 1)).1.qkv.weight")
            }.map { 1 << $0 },
            heads: heads, imageSize: try settings.statedImageSize(), variant: variant)
    }

    /// Residual blocks a level, and levels. Only the decoder's keys show where a level ends: in the encoder a resampling block has
    /// the keys of a plain one.
    private func stages() throws -> (blocks: Int, levels: Int) {
        let count = (0...).prefix { tensors.contains("output_blocks.\($0).0.in_layers.0.weight") }.count
        let resampling = ["1.in_layers.0", "2.in_layers.0", "1.conv", "2.conv"]
        let blocks =
            (0..<count).first { index in
                resampling.contains { tensors.contains("output_blocks.\(index).\($0).weight") }
            } ?? count - 1
        guard blocks > 0, count.isMultiple(of: blocks + 1) else {
            throw ImportError.unusable(
                "the decoder has \(count) blocks and the first level ends with number \(blocks); every level must have "
                    + "the same number of blocks, at least 2")
        }
        return (blocks, count / (blocks + 1))
    }

    /// The table, and what it left to the user.
    func table(
        _ architecture: UNetArchitecture, order: QueryKeyValueOrder, _ settings: ImportSettings
    ) throws -> CanonicalTable {
        var table = CanonicalTable(architecture: architecture, order: order) { .source($0.key) }
        table.outputChannels = tensors["out.2.weight"]?.shape.first ?? 3
        let embedding = "label_emb.weight"
        let classes = try tensors[embedding].map { _ in try tensors.extent(0, of: embedding) }
        if let index = try settings.classIndex(of: classes) {
            table.fold = (
                "time_embed.2.bias",
                .row(index, of: .source(embedding), width: try tensors.extent(1, of: embedding))
            )
        }
        return table
    }

    /// A model in these keys.
    ///
    /// - Parameters:
    ///   - order: of the rows of `qkv`.
    ///   - flow: what was trained, and what of it was assumed.
    func plan(
        _ settings: ImportSettings, order: QueryKeyValueOrder, flow: (flow: Flow, assumptions: [String])
    ) throws -> ImportPlan {
        let table = try table(architecture(settings), order: order, settings)
        return try ImportPlan(
            settings, flow: flow.flow, table: table, source: tensors, assumptions: flow.assumptions,
            isDropped: { $0 == "label_emb.weight" })
    }
}

extension ImportSettings {
    /// The class whose embedding is to be folded in; nil for none.
    ///
    /// - Parameter count: how many classes the model has; nil if it isn't class-conditional.
    /// - Throws: `ImportError` if the choice is missing, or impossible.
    func classIndex(of count: Int?) throws -> Int? {
        guard let count else {
            guard classChoice == nil else {
                throw ImportError.options("--class doesn't apply: the model has no embedding of classes")
            }
            return nil
        }
        switch classChoice {
        case .index(let index):
            guard (0..<count).contains(index) else {
                throw ImportError.options("--class \(index) is none of the model's \(count) classes, 0 to \(count - 1)")
            }
            return index
        case .null: return nil
        case nil:
            throw ImportError.options(
                "--class is missing: the model is of \(count) classes; give the class to compute features for, or null"
            )
        }
    }
}
