/// EDM's DDPM++ and ADM. No tensor tells which preconditioning was around the network.
struct EDM: Dialect {
    let name = "EDM"
    let options: Set<ImportOption> = ImportOption.flow.union([.headWidth, .groups, .classChoice, .points])

    func recognises(_ source: ImportSource) -> Bool {
        guard let root = source.root, let keys = EDMKeys(root) else { return false }
        return !keys.isDDPMPlusPlus || root.containsPrefix(EDMKeys.wrapper + "enc.")
    }

    func plan(for source: ImportSource, _ settings: ImportSettings) throws -> ImportPlan {
        guard let keys = EDMKeys(try source.tensors()) else { throw ImportError.missing("out_conv.weight") }
        return try keys.plan(settings, FlowStatement())
    }
}
