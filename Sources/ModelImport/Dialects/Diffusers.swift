import FlowModel

/// UNet2DModel of diffusers: a folder of a pipeline, or of a model alone.
struct Diffusers: Dialect {
    let name = "diffusers"
    let options: Set<ImportOption> = ImportOption.flow.union([.imageSize, .classChoice, .points])

    func recognises(_ source: ImportSource) -> Bool { source.folder != nil }

    func plan(for source: ImportSource, _ settings: ImportSettings) throws -> ImportPlan {
        guard let folder = source.folder else { throw ImportError.unusable("\(source.path) is not a folder") }
        try folder.requireSupported()
        let configuration = try folder.configuration.decode(DiffusersConfiguration.self)
        let tensors = try folder.tensors().renamed(Self.currentName)
        let architecture = try configuration.architecture(settings, tensors)
        let flow = try flow(of: folder, settings)
        var table = CanonicalTable(architecture: architecture, order: .thirds) {
            Self.source(of: $0, levels: architecture.channelMultipliers.count)
        }
        table.outputChannels = configuration.channelsOut
        let embedding = "class_embedding.weight"
        if let index = try settings.classIndex(of: configuration.classes) {
            guard try index < tensors.extent(0, of: embedding) else {
                throw ImportError.unusable(
                    "configuration contradicts weights: num_class_embeds in \(folder.configuration.path)")
            }
            table.fold = (
                "time_embed.2.bias",
                .row(index, of: .source(embedding), width: try tensors.extent(1, of: embedding))
            )
        }
        var plan = try ImportPlan(
            settings, flow: flow.flow, table: table, source: tensors, assumptions: flow.assumptions,
            isDropped: { $0 == embedding && configuration.classes != nil })
        plan.configurationPath = folder.configuration.path
        return plan
    }

    private func flow(
        of folder: DiffusersFolder, _ settings: ImportSettings
    ) throws -> (flow: Flow, assumptions: [String]) {
        let scheduler = try folder.scheduler?.decode(DiffusersScheduler.self)
        guard let flow = try scheduler?.flow() else {
            return try FlowStatement(velocity: (data: 0, noise: 1)).flow(settings)
        }
        if let option = settings.given.intersection(ImportOption.flow).map(\.rawValue).min() {
            throw ImportError.options("--\(option) is stated by scheduler_config.json already")
        }
        if let published = settings.published, published.flow != .parametrised(flow) {
            throw ImportError.options("--as \(published.name) contradicts scheduler_config.json; drop it")
        }
        return (.parametrised(flow), [])
    }

    // MARK: - The table

    /// The names of attention's tensors in files of old versions.
    private static let oldNames = ["query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"]

    private static func currentName(_ name: String) -> String {
        name.split(separator: ".").map { oldNames[String($0)] ?? String($0) }.joined(separator: ".")
    }

    private static let layers: [UNetParameter.Layer: String] = [
        .whole: "", .firstNorm: ".norm1", .firstConvolution: ".conv1", .modulation: ".time_emb_proj",
        .secondNorm: ".norm2", .secondConvolution: ".conv2", .skip: ".conv_shortcut", .attentionNorm: ".group_norm",
        .projection: ".to_out.0", .downsamplingConvolution: ".conv", .upsamplingConvolution: ".conv",
    ]

    private static func source(of parameter: UNetParameter, levels: Int) -> TensorExpression {
        let module = name(of: parameter.module, isAttention: parameter.layer.isOfAttention, levels: levels)
        guard parameter.layer == .queriesKeysValues else {
            return .source("\(module)\(layers[parameter.layer] ?? "").\(parameter.suffix)")
        }
        return .concatenation(["q", "k", "v"].map { .source("\(module).to_\($0).\(parameter.suffix)") })
    }

    private static func name(of module: UNetParameter.Module, isAttention: Bool, levels: Int) -> String {
        let kind = isAttention ? "attentions" : "resnets"
        return switch module {
        case .timeEmbedding(let index): "time_embedding.linear_\(index + 1)"
        case .input: "conv_in"
        case .encoder(let level, let index): "down_blocks.\(level).\(kind).\(index)"
        case .downsampling(let level): "down_blocks.\(level).downsamplers.0"
        case .middle(let index): "mid_block.\(kind).\(index / 2)"
        case .decoder(let level, let index): "up_blocks.\(levels - 1 - level).\(kind).\(index)"
        case .upsampling(let level): "up_blocks.\(levels - 1 - level).upsamplers.0"
        case .outputNorm: "conv_norm_out"
        case .output: "conv_out"
        }
    }
}
