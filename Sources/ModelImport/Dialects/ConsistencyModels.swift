/// The EDM models of consistency_models: guided-diffusion's keys with 1x1 convolutions in attention, whose rows are in thirds.
struct ConsistencyModels: Dialect {
    let name = "consistency_models"
    let options: Set<ImportOption> =
        ImportOption.flow.union([.imageSize, .heads, .headWidth, .classChoice, .points])

    func recognises(_ source: ImportSource) -> Bool {
        guard let root = source.root, GuidedDiffusionKeys.areIn(root) else { return false }
        return GuidedDiffusionKeys(tensors: root).hasPlanarAttention
    }

    func plan(for source: ImportSource, _ settings: ImportSettings) throws -> ImportPlan {
        // The package labels times with 250·ln σ, EDM itself with ln σ/4.
        try GuidedDiffusionKeys(tensors: source.tensors()).plan(
            settings, order: .thirds, flow: FlowStatement(prediction: .edm, timeScale: 1000).flow(settings))
    }
}
