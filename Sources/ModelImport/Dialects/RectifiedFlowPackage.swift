import Files
import FlowModel
import JSON

/// What the package rectified-flow saves of its DDPM++: EDM's keys without the module around them.
struct RectifiedFlowPackage: Dialect {
    let name = "rectified-flow"
    let options: Set<ImportOption> = ImportOption.flow.union([.groups, .classChoice, .points])

    func recognises(_ source: ImportSource) -> Bool {
        guard let root = source.root, let keys = EDMKeys(root) else { return false }
        return keys.isDDPMPlusPlus && !root.containsPrefix(EDMKeys.wrapper + "enc.")
    }

    func plan(for source: ImportSource, _ settings: ImportSettings) throws -> ImportPlan {
        guard let keys = EDMKeys(try source.tensors()) else { throw ImportError.missing("enc.*_conv.weight") }
        // The package's PositionalEmbedding multiplies times by 1000. Sampling ends where training does, short of t = 0.
        let statement = FlowStatement(prediction: .velocity, timeScale: 1000, velocity: (data: 1, noise: 0.001))
        let plan = try keys.plan(settings, statement)
        try Self.requireAgreement(of: plan.configuration.architecture, with: source)
        return plan
    }

    /// What the package writes next to the weights.
    private struct Document: Decodable {
        let img_resolution: Int
        let model_channels: Int
        let channel_mult: [Double]
        let num_blocks: Int
        let attn_resolutions: [Int]
        let embedding_type: String
        let encoder_type: String
        let decoder_type: String
    }

    /// Checks that the configuration next to the weights, if there is one, describes them.
    private static func requireAgreement(of network: UNetArchitecture, with source: ImportSource) throws {
        let path = source.sibling("unet_config.json")
        guard let document = try ConfigurationFile(path: path)?.decode(Document.self) else { return }
        func agree(_ condition: Bool, _ member: String) throws {
            guard !condition else { return }
            throw ImportError.unusable(
                "configuration contradicts weights: \(member) in \(path) doesn't match the tensors")
        }
        try agree(document.img_resolution == network.imageSize, "img_resolution")
        try agree(document.model_channels == network.modelChannels, "model_channels")
        try agree(document.channel_mult == network.channelMultipliers, "channel_mult")
        try agree(document.num_blocks == network.residualBlocks, "num_blocks")
        try agree(
            Set(document.attn_resolutions) == Set(network.attentionDownsampling.map { network.imageSize / $0 }),
            "attn_resolutions")
        try agree(document.embedding_type == "positional", "embedding_type")
        try agree(document.encoder_type == "standard", "encoder_type")
        try agree(document.decoder_type == "standard", "decoder_type")
    }
}
