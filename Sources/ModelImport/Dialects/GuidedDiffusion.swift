/// guided-diffusion, whose resampling is residual. No tensor tells in which order the rows of `qkv` are.
struct GuidedDiffusion: Dialect {
    let name = "guided-diffusion"
    let options: Set<ImportOption> =
        ImportOption.flow.union([.imageSize, .heads, .headWidth, .order, .classChoice, .points])

    func recognises(_ source: ImportSource) -> Bool {
        guard let root = source.root, GuidedDiffusionKeys.areIn(root) else { return false }
        let keys = GuidedDiffusionKeys(tensors: root)
        return keys.hasResidualResampling && !keys.hasPlanarAttention
    }

    func plan(for source: ImportSource, _ settings: ImportSettings) throws -> ImportPlan {
        guard let order = settings.published?.order ?? settings.order else {
            throw ImportError.unstated(.order, because: "guided-diffusion has two orders, and all shapes are equal")
        }
        return try GuidedDiffusionKeys(tensors: source.tensors()).plan(
            settings, order: order, flow: FlowStatement(prediction: .epsilon).flow(settings))
    }
}
