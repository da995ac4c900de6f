import FlowModel
import UntrustedText

/// A `config.json` of UNet2DModel, with diffusers' defaults for members that are absent.
struct DiffusersConfiguration: Decodable {
    let className: String
    let sampleSize: Int?
    let channelsIn: Int
    let channelsOut: Int
    let widths: [Int]
    let downTypes: [String]
    let upTypes: [String]
    let layersPerBlock: Int
    /// Channels of a head; nil for a single head.
    let headWidth: Int?
    let epsilon: Double
    let beginsWithCosines: Bool
    let frequencyShift: Int
    let downsamplePadding: Int
    let downsampleType: String
    let upsampleType: String
    let timeScaleShift: String
    let classes: Int?
    /// Members that say what isn't supported, as they would be written.
    let unsupported: [String]

    private enum CodingKeys: String, CodingKey {
        case className = "_class_name"
        case sample_size, in_channels, out_channels, block_out_channels, down_block_types, up_block_types,
            layers_per_block,
            attention_head_dim, norm_num_groups, norm_eps, flip_sin_to_cos, freq_shift, downsample_padding,
            downsample_type,
            upsample_type, resnet_time_scale_shift, add_attention, attn_norm_num_groups, mid_block_scale_factor, act_fn,
            center_input_sample, time_embedding_type, class_embed_type, num_class_embeds, time_embedding_dim,
            mid_block_type
    }

    init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        func value<Value: Decodable>(_ key: CodingKeys, _ absent: Value) throws -> Value {
            try members.contains(key) ? members.decode(Value.self, forKey: key) : absent
        }
        func optional<Value: Decodable>(_ key: CodingKeys) throws -> Value? {
            try members.decodeIfPresent(Value.self, forKey: key)
        }
        className = try members.decode(String.self, forKey: .className)
        // The other classes have other members.
        let isUNet2D = className == DiffusersConfiguration.supportedClass
        sampleSize = isUNet2D ? try optional(.sample_size) : nil
        channelsIn = try value(.in_channels, 3)
        channelsOut = try value(.out_channels, 3)
        widths = try value(.block_out_channels, [224, 448, 672, 896])
        downTypes = try value(.down_block_types, ["DownBlock2D"] + Array(repeating: "AttnDownBlock2D", count: 3))
        upTypes = try value(.up_block_types, Array(repeating: "AttnUpBlock2D", count: 3) + ["UpBlock2D"])
        layersPerBlock = isUNet2D ? try value(.layers_per_block, 2) : 2
        headWidth = !isUNet2D ? nil : members.contains(.attention_head_dim) ? try optional(.attention_head_dim) : 8
        epsilon = try value(.norm_eps, 1e-5)
        beginsWithCosines = try value(.flip_sin_to_cos, true)
        frequencyShift = try value(.freq_shift, 0)
        downsamplePadding = try value(.downsample_padding, 1)
        downsampleType = try value(.downsample_type, "conv")
        upsampleType = try value(.upsample_type, "conv")
        timeScaleShift = try value(.resnet_time_scale_shift, "default")
        classes = try optional(.num_class_embeds)

        var unsupported: [String] = []
        func refuse(_ key: CodingKeys, _ value: some CustomStringConvertible, if isUnsupported: Bool) {
            if isUnsupported { unsupported.append("\(key.stringValue) is \(quoted(value.description))") }
        }
        let activation = try value(.act_fn, "silu")
        refuse(.act_fn, activation, if: !["silu", "swish"].contains(activation))
        let groups = try optional(.norm_num_groups) ?? 32
        refuse(.norm_num_groups, groups, if: groups != 32)
        let attentionGroups = try optional(.attn_norm_num_groups) ?? 32
        refuse(.attn_norm_num_groups, attentionGroups, if: attentionGroups != 32)
        let centres = try value(.center_input_sample, false)
        refuse(.center_input_sample, centres, if: centres)
        let factor: Double = try value(.mid_block_scale_factor, 1)
        refuse(.mid_block_scale_factor, factor, if: factor != 1)
        let middle: String? = members.contains(.mid_block_type) ? try optional(.mid_block_type) : "UNetMidBlock2D"
        refuse(.mid_block_type, middle ?? "null", if: middle != "UNetMidBlock2D")
        let embedding = try value(.time_embedding_type, "positional")
        refuse(.time_embedding_type, embedding, if: embedding != "positional")
        let classEmbedding: String? = isUNet2D ? try optional(.class_embed_type) : nil
        refuse(.class_embed_type, classEmbedding ?? "", if: classEmbedding != nil)
        let attends = try value(.add_attention, true)
        refuse(.add_attention, attends, if: !attends)
        let width: Int? = try optional(.time_embedding_dim)
        let expected = widths.first.map { 4 * Double($0) }
        refuse(.time_embedding_dim, width ?? 0, if: width != nil && width.map(Double.init) != expected)
        self.unsupported = unsupported
    }

    static let supportedClass = "UNet2DModel"
}

// MARK: - The architecture

extension DiffusersConfiguration {
    /// - Throws: `ImportError` if the configuration says what isn't supported, or contradicts the tensors.
    func requireSupported(_ tensors: SourceTensors) throws {
        if className == "UNet2DConditionModel" || tensors.names.contains(where: { $0.contains(".transformer_blocks.") })
        {
            throw ImportError.unusable(
                "it is a text-conditional network (\(quoted(className))), which is not supported")
        }
        guard className == Self.supportedClass else {
            throw Self.unsupported("_class_name is \(quoted(className)); only \(Self.supportedClass) is supported")
        }
        guard channelsIn == 3 else {
            throw ImportError.unusable(
                "it has \(channelsIn) input channels; only models of images with 3 channels are supported")
        }
        if let problem = unsupported.first { throw Self.unsupported(problem) }
        // More aren't supported anyway, and each is looked for in the names of all tensors.
        guard widths.count <= UNetArchitecture.mostLevels else {
            throw Self.unsupported(
                "block_out_channels has \(widths.count) levels; up to \(UNetArchitecture.mostLevels) are supported")
        }
        guard !widths.isEmpty, downTypes.count == widths.count, upTypes.count == widths.count else {
            throw Self.unsupported(
                "block_out_channels, down_block_types and up_block_types have \(widths.count), \(downTypes.count) and "
                    + "\(upTypes.count) entries; the numbers must be equal")
        }
    }

    private static func unsupported(_ problem: String) -> ImportError {
        .unusable("unsupported configuration: \(problem)")
    }

    /// The network.
    ///
    /// - Parameters:
    ///   - settings: for the image size, if the configuration has none.
    ///   - tensors: which show where there is attention.
    /// - Throws: `ImportError`.
    func architecture(_ settings: ImportSettings, _ tensors: SourceTensors) throws -> UNetArchitecture {
        try requireSupported(tensors)
        var variant = UNetVariant.reference
        variant.modulation = try one(
            of: ["default": .additive, "scale_shift": .film], timeScaleShift, "resnet_time_scale_shift")
        variant.resampling = try resampling()
        variant.epsilon = epsilon
        variant.sinusoids = beginsWithCosines ? .cosinesFirst : .sinesFirst
        variant.frequencyShift = frequencyShift
        variant.downsamplingPadding = try one(
            of: [0: .bottomRight, 1: .symmetric], downsamplePadding, "downsample_padding")
        variant.headWidth = headWidth
        return UNetArchitecture(
            modelChannels: widths[0], residualBlocks: layersPerBlock,
            channelMultipliers: widths.map { Double($0) / Double(max(widths[0], 1)) },
            attentionDownsampling: try attendedLevels(tensors).map { 1 << $0 }, heads: 1,
            imageSize: try imageSize(settings),
            variant: variant)
    }

    private func one<Key: Hashable & CustomStringConvertible, Value>(
        of values: [Key: Value], _ key: Key, _ member: String
    ) throws -> Value {
        guard let value = values[key] else {
            throw Self.unsupported("\(member) is \(quoted(key.description))")
        }
        return value
    }

    private func imageSize(_ settings: ImportSettings) throws -> Int {
        guard let sampleSize else { return try settings.statedImageSize() }
        if let stated = settings.imageSize, stated != sampleSize {
            throw ImportError.options(
                "--image-size \(stated) contradicts config.json, whose sample_size is \(sampleSize)")
        }
        return sampleSize
    }

    /// Levels with attention, of which the decoder's are the same.
    private func attendedLevels(_ tensors: SourceTensors) throws -> [Int] {
        let levels = widths.count
        for (side, types) in [("down", downTypes), ("up", upTypes)] {
            for (index, type) in types.enumerated() {
                let attends = type.hasPrefix("Attn")
                guard tensors.containsPrefix("\(side)_blocks.\(index).attentions.") == attends else {
                    throw ImportError.unusable(
                        "configuration contradicts weights: config.json says that \(side)_blocks.\(index) has "
                            + "\(attends ? "attention, and the weights have none" : "no attention, and the weights have some")"
                    )
                }
            }
        }
        return try (0..<levels).filter { level in
            let attends = downTypes[level].hasPrefix("Attn")
            guard upTypes[levels - 1 - level].hasPrefix("Attn") == attends else {
                throw Self.unsupported("down_block_types and up_block_types have attention at different levels")
            }
            return attends
        }
    }

    /// What changes the resolution, which must be the same between all levels.
    private func resampling() throws -> UNetVariant.Resampling {
        let kinds: [String: UNetVariant.Resampling] = ["conv": .convolution, "resnet": .residual]
        func kind(_ type: String, plain: String, residual: String, attention: String, _ own: String, _ member: String)
            throws
            -> UNetVariant.Resampling
        {
            switch type {
            case plain: return .convolution
            case residual: return .residual
            case attention: return try one(of: kinds, own, member)
            default: throw Self.unsupported("a block is of type \(quoted(type))")
            }
        }
        let down = try downTypes.map {
            try kind(
                $0, plain: "DownBlock2D", residual: "ResnetDownsampleBlock2D", attention: "AttnDownBlock2D",
                downsampleType,
                "downsample_type")
        }
        let up = try upTypes.map {
            try kind(
                $0, plain: "UpBlock2D", residual: "ResnetUpsampleBlock2D", attention: "AttnUpBlock2D", upsampleType,
                "upsample_type")
        }
        // The last block of either side doesn't change the resolution.
        let used = Set(down.dropLast() + up.dropLast())
        guard used.count <= 1 else {
            throw Self.unsupported("some blocks resample with a convolution, others with a residual block")
        }
        return used.first ?? .convolution
    }
}
