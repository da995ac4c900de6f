import FlowModel
import UntrustedText

/// The keys of EDM's networks, DDPM++ and ADM, which the package rectified-flow shares: every block is named by its resolution.
struct EDMKeys {
    /// The tensors, without the `model.` of the module around the network.
    let tensors: SourceTensors
    /// Height and width of the images.
    let imageSize: Int
    /// Whether the network is DDPM++; otherwise it is ADM.
    let isDDPMPlusPlus: Bool

    /// What the first component is where a module around the network was saved.
    static let wrapper = "model."

    /// The network in these keys; nil if there is none.
    init?(_ source: SourceTensors) {
        let wrapper = source.containsPrefix(Self.wrapper + "enc.") ? Self.wrapper : ""
        tensors = source.renamed { $0.hasPrefix(wrapper) ? String($0.dropFirst(wrapper.count)) : $0 }
        guard let size = tensors.names.lazy.compactMap(Self.resolution).first else { return nil }
        imageSize = size
        isDDPMPlusPlus = tensors.contains("dec.\(size)x\(size)_aux_conv.weight")
        guard isDDPMPlusPlus || tensors.contains("out_conv.weight") else { return nil }
    }

    /// The resolution in the name of the first convolution.
    private static func resolution(_ name: String) -> Int? {
        guard name.hasPrefix("enc."), name.hasSuffix("_conv.weight") else { return nil }
        let text = name.dropFirst("enc.".count).dropLast("_conv.weight".count)
        guard let size = text.split(separator: "x").first.flatMap({ Int($0) }), text == "\(size)x\(size)" else {
            return nil
        }
        return size
    }

    private func resolution(_ level: Int) -> String { "\(imageSize >> level)x\(imageSize >> level)" }

    /// What the tensors and the settings tell.
    ///
    /// - Throws: `ImportError` if a tensor is missing that determines a width, or the norms may have other groups than 32.
    func architecture(_ settings: ImportSettings) throws -> (architecture: UNetArchitecture, assumptions: [String]) {
        let blocks = (0...).prefix { tensors.contains("enc.\(resolution(0))_block\($0).norm0.weight") }.count
        let levels = (0..<Int.bitWidth).prefix { tensors.contains("enc.\(resolution($0))_block0.norm0.weight") }.count
        guard blocks > 0 else { throw ImportError.missing("enc.\(resolution(0))_block0.norm0.weight") }
        let modelChannels = try tensors.extent(1, of: "map_layer0.weight")
        guard modelChannels > 0 else { throw ImportError.unusable("'map_layer0.weight' has no columns") }
        let widths = try (0..<levels).map { level in
            try tensors.extent(0, of: "enc.\(resolution(level))_block0.conv1.weight")
        }
        let inputWidth = try tensors.extent(0, of: "enc.\(resolution(0))_conv.weight")
        try settings.requireKnownGroups(narrowest: min(widths.min() ?? 0, inputWidth))
        var (variant, assumptions) = (UNetVariant.ddpmPlusPlus, [String]())
        if !isDDPMPlusPlus {
            variant = .reference
            variant.resampling = .residual
            variant.headWidth = settings.headWidth ?? Self.admHeadWidth
            if settings.headWidth == nil, settings.published == nil {
                assumptions.append("heads of attention have \(Self.admHeadWidth) channels (--head-width)")
            }
        } else if settings.headWidth != nil {
            throw ImportError.options("--head-width doesn't apply to DDPM++, whose attention has one head")
        }
        variant.inputWidth = inputWidth == modelChannels ? nil : inputWidth
        let architecture = UNetArchitecture(
            modelChannels: modelChannels, residualBlocks: blocks,
            channelMultipliers: widths.map { Double($0) / Double(modelChannels) },
            attentionDownsampling: (0..<levels).filter { level in
                tensors.contains("enc.\(resolution(level))_block0.qkv.weight")
            }.map { 1 << $0 },
            heads: 1, imageSize: imageSize, variant: variant)
        return (architecture, assumptions)
    }

    /// What EDM's code gives its ADM.
    private static let admHeadWidth = 64

    /// A model in these keys.
    ///
    /// - Parameter statement: what is known of the flow.
    /// - Throws: `ImportError`.
    func plan(_ settings: ImportSettings, _ statement: FlowStatement) throws -> ImportPlan {
        try requireMeans()
        let (architecture, assumptions) = try architecture(settings)
        let flow = try statement.flow(settings)
        var table = CanonicalTable(architecture: architecture, order: .interleaved) { parameter in
            .source(
                "\(name(of: parameter.module, levels: architecture.channelMultipliers.count))"
                    + "\(Self.layers[parameter.layer]!).\(parameter.suffix)")
        }
        table.outputChannels =
            tensors[isDDPMPlusPlus ? "dec.\(resolution(0))_aux_conv.weight" : "out_conv.weight"]?
            .shape.first ?? 3
        table.fold = try fold(settings)
        return try ImportPlan(
            settings, flow: flow.flow, table: table, source: tensors, assumptions: assumptions + flow.assumptions,
            isDropped: { name in
                ["map_augment.weight", "map_label.weight", "map_label.bias"].contains(name)
                    || name.hasSuffix(".resample_filter")
            })
    }

    /// Checks that what resamples is the mean of 2x2 pixels, and not NCSN++'s filter.
    private func requireMeans() throws {
        for name in tensors.names where name.hasSuffix(".resample_filter") {
            guard let filter = tensors[name], filter.shape == [1, 1, 2, 2],
                try filter.numbers() == [0.25, 0.25, 0.25, 0.25]
            else {
                throw ImportError.unusable(
                    "\(quoted(name)) is not the mean of 2x2 pixels: it is an NCSN++ network; only DDPM++ is supported")
            }
        }
    }
}

// MARK: - The table

extension EDMKeys {
    private func name(of module: UNetParameter.Module, levels: Int) -> String {
        switch module {
        case .timeEmbedding(let index): "map_layer\(index)"
        case .input: "enc.\(resolution(0))_conv"
        case .encoder(let level, let index): "enc.\(resolution(level))_block\(index)"
        case .downsampling(let level): "enc.\(resolution(level + 1))_down"
        case .middle(let index): "dec.\(resolution(levels - 1))_in\(index < 2 ? 0 : 1)"
        case .decoder(let level, let index): "dec.\(resolution(level))_block\(index)"
        case .upsampling(let level): "dec.\(resolution(level - 1))_up"
        case .outputNorm: isDDPMPlusPlus ? "dec.\(resolution(0))_aux_norm" : "out_norm"
        case .output: isDDPMPlusPlus ? "dec.\(resolution(0))_aux_conv" : "out_conv"
        }
    }

    private static let layers: [UNetParameter.Layer: String] = [
        .whole: "", .firstNorm: ".norm0", .firstConvolution: ".conv0", .modulation: ".affine", .secondNorm: ".norm1",
        .secondConvolution: ".conv1", .skip: ".skip", .attentionNorm: ".norm2", .queriesKeysValues: ".qkv",
        .projection: ".proj", .downsamplingConvolution: ".down", .upsamplingConvolution: ".up",
    ]

    /// A class's embedding: in ADM a column that is added after the time embedding; in DDPM++ a linear layer of the class, scaled
    /// by the root of their number, whose result is added before the first layer, for no class its bias alone.
    private func fold(_ settings: ImportSettings) throws -> (key: String, addend: TensorExpression)? {
        let weight = TensorExpression.source("map_label.weight")
        let classes = try tensors["map_label.weight"].map { _ in try tensors.extent(1, of: "map_label.weight") }
        let index = try settings.classIndex(of: classes)
        guard let classes else { return nil }
        let width = try tensors.extent(0, of: "map_label.weight")
        let column = index.map { TensorExpression.row($0, of: .transposition(weight), width: width) }
        guard isDDPMPlusPlus else { return column.map { ("time_embed.2.bias", $0) } }
        let bias = TensorExpression.source("map_label.bias")
        let embedding = column.map { .sum(.scaling($0, Double(classes).squareRoot()), bias) } ?? bias
        return ("time_embed.0.bias", .product(.source("map_layer0.weight"), embedding))
    }
}

extension UNetVariant {
    /// DDPM++ (Song et al. 2021), as score_sde, EDM and both RectifiedFlow codes have it.
    static var ddpmPlusPlus: UNetVariant {
        var variant = reference
        variant.modulation = .additive
        variant.resampling = .residualWithSkip
        variant.epsilon = 1e-6
        variant.sinusoids = .sinesFirst
        variant.frequencyShift = 1
        variant.decoderAttention = .lastBlock
        variant.residualScale = 0.5.squareRoot()
        return variant
    }
}

extension ImportSettings {
    /// Checks that all norms have 32 groups: EDM's and score_sde's have a quarter of the channels if that is fewer.
    ///
    /// - Throws: `ImportError` if some may have others.
    func requireKnownGroups(narrowest width: Int) throws {
        guard width < 128, groups != 32 else { return }
        throw ImportError.options(
            "--groups is missing: the network has \(width) channels, and its package uses fewer than 32 groups below "
                + "128 channels, which is not supported; give 32 if this network uses 32")
    }
}
