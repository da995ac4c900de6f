/// improved-diffusion: guided-diffusion's keys with convolutions that resample.
struct ImprovedDiffusion: Dialect {
    let name = "improved-diffusion"
    let options: Set<ImportOption> =
        ImportOption.flow.union([.imageSize, .heads, .headWidth, .order, .classChoice, .points])

    func recognises(_ source: ImportSource) -> Bool {
        guard let root = source.root, GuidedDiffusionKeys.areIn(root) else { return false }
        let keys = GuidedDiffusionKeys(tensors: root)
        return !keys.hasResidualResampling && !keys.hasPlanarAttention
    }

    func plan(for source: ImportSource, _ settings: ImportSettings) throws -> ImportPlan {
        // A network of guided-diffusion without residual resampling has the same keys, and may have another order.
        let order = settings.order ?? .heads
        var plan = try GuidedDiffusionKeys(tensors: source.tensors()).plan(
            settings, order: order, flow: FlowStatement(prediction: .epsilon).flow(settings))
        if settings.order == nil, settings.published == nil {
            plan.assumptions.append("the rows of qkv are in the order \(order.rawValue) (--qkv-order)")
        }
        return plan
    }
}
