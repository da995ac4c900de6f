import FlowModel

/// torchcfm: guided-diffusion's keys, twice in a file, of a velocity with the image at t = 1.
struct TorchCFM: Dialect {
    let name = "torchcfm"
    let options: Set<ImportOption> = [.imageSize, .heads, .headWidth, .path, .weights, .points]

    func recognises(_ source: ImportSource) -> Bool {
        Set(["ema_model", "net_model"]).isSubset(of: source.topLevelNames)
    }

    func plan(for source: ImportSource, _ settings: ImportSettings) throws -> ImportPlan {
        let flow: Flow
        var assumptions: [String] = []
        switch (settings.published?.flow, settings.path) {
        case (let published?, _): flow = published
        case (nil, .gvp): throw ImportError.options("--path gvp doesn't apply to torchcfm, whose images are at t = 1")
        case (nil, let path?): flow = .path(path)
        case (nil, nil):
            flow = .path(.icfm)
            assumptions.append("the path is icfm; otcfm and fm have the same reverse pass (--path)")
        }
        let group = settings.weights == .raw ? "net_model" : "ema_model"
        let keys = GuidedDiffusionKeys(tensors: try source.group(group))
        return try keys.plan(settings, order: .heads, flow: (flow, assumptions))
    }
}
