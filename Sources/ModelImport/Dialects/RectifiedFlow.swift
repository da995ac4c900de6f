import FlowModel
import UntrustedText

/// RectifiedFlow's DDPM++ of score_sde: its modules are numbered in the order in which they run, and the averaged weights are a list
/// without names in the same order.
struct RectifiedFlow: Dialect {
    let name = "RectifiedFlow"
    let options: Set<ImportOption> = ImportOption.flow.union([.imageSize, .groups, .weights, .points])

    /// A buffer of the network, which its averaged weights lack.
    private static let buffer = "sigmas"

    func recognises(_ source: ImportSource) -> Bool {
        source.topLevelNames.contains("model")
            && ((try? source.group("model"))?.containsPrefix(ScoreModules.prefix) ?? false)
    }

    func plan(for source: ImportSource, _ settings: ImportSettings) throws -> ImportPlan {
        let tensors = try weights(of: source, settings)
        let modules = try ScoreModules(tensors)
        let widths = try modules.levelWidths(tensors)
        let modelChannels = try tensors.extent(0, of: ScoreModules.key(2, "weight"))
        try settings.requireKnownGroups(narrowest: min(modelChannels, widths.min() ?? 0))
        let architecture = UNetArchitecture(
            modelChannels: modelChannels, residualBlocks: modules.residualBlocks,
            channelMultipliers: widths.map { Double($0) / Double(max(modelChannels, 1)) },
            attentionDownsampling: modules.attendedLevels.map { 1 << $0 }, heads: 1,
            imageSize: try settings.statedImageSize(), variant: .ddpmPlusPlus)
        let table = CanonicalTable(architecture: architecture) { modules.source(of: $0) }
        // Training and sampling end at t = 0.001, where time labels are 999·t.
        let flow = try FlowStatement(prediction: .velocity, timeScale: 999, velocity: (data: 1, noise: 0.001))
            .flow(settings)
        return try ImportPlan(
            settings, flow: flow.flow, table: table, source: tensors, assumptions: flow.assumptions,
            isDropped: { $0 == Self.buffer })
    }

    private func weights(of source: ImportSource, _ settings: ImportSettings) throws -> SourceTensors {
        let model = try source.group("model")
        guard settings.weights != .raw, let archive = source.archive else { return model }
        let averaged = try archive.tensorList("shadow_params", in: "ema")
        let names = model.names.filter { $0 != Self.buffer }
        guard names.count == averaged.count else {
            throw ImportError.unusable(
                "'ema' has \(averaged.count) tensors for \(names.count) parameters of 'model'; they must correspond one to one"
            )
        }
        return try SourceTensors(Array(zip(names, averaged)), of: archive)
    }
}

/// The numbered modules of score_sde's DDPM++ by what they do.
struct ScoreModules {
    static let prefix = "all_modules."

    static func key(_ number: Int, _ rest: String) -> String { "\(prefix)\(number).\(rest)" }

    private enum Kind: Equatable {
        case residual(resamples: Bool)
        case attention
    }

    /// Residual blocks of a level.
    private(set) var residualBlocks = 0
    /// Levels with attention.
    private(set) var attendedLevels: [Int] = []

    private var numbers: [UNetParameter.Module: Int] = [:]
    private var attentions: [UNetParameter.Module: Int] = [:]
    private var levels = 0
    /// The modules that are left to be understood.
    private var position = 3
    private let kinds: [Kind?]

    /// Understands the modules by their order.
    ///
    /// - Throws: `ImportError` if they aren't those of DDPM++.
    init(_ tensors: SourceTensors) throws {
        let count = (0...).prefix { tensors.containsPrefix("\(Self.prefix)\($0).") }.count
        kinds = (0..<count).map { number in
            if tensors.contains(Self.key(number, "NIN_0.W")) { return .attention }
            guard tensors.contains(Self.key(number, "Conv_0.weight")) else { return nil }
            let norms = ["GroupNorm_0.weight", "GroupNorm_1.weight"].map { tensors[Self.key(number, $0)]?.shape }
            return .residual(resamples: tensors.contains(Self.key(number, "Conv_2.weight")) && norms[0] == norms[1])
        }
        residualBlocks =
            kinds.dropFirst(3).filter { $0 != .attention }.prefix { $0 == .residual(resamples: false) }.count
        guard residualBlocks > 0 else { throw Self.unknown(3) }
        (numbers[.timeEmbedding(0)], numbers[.timeEmbedding(1)], numbers[.input]) = (0, 1, 2)
        try readEncoder()
        try readMiddle()
        try readDecoder()
        (numbers[.outputNorm], numbers[.output]) = (position, position + 1)
        guard position + 2 == count, kinds[position] == nil, kinds[position + 1] == nil else {
            throw Self.unknown(position)
        }
    }

    private static func unknown(_ number: Int) -> ImportError {
        .unusable(
            "the modules in \(quoted(prefix)) are not those of DDPM++ from number \(number) on: it is an NCSN++ network or another one, "
                + "which is not supported")
    }

    private mutating func take(_ kind: Kind, as module: UNetParameter.Module) throws {
        guard next == kind else { throw Self.unknown(position) }
        if kind == .attention { attentions[module] = position } else { numbers[module] = position }
        position += 1
    }

    private var next: Kind? { position < kinds.count ? kinds[position] : nil }

    private mutating func readEncoder() throws {
        repeat {
            for index in 0..<residualBlocks {
                try take(.residual(resamples: false), as: .encoder(level: levels, index: index))
                if next == .attention {
                    try take(.attention, as: .encoder(level: levels, index: index))
                    if index == 0 { attendedLevels.append(levels) }
                }
            }
            levels += 1
            guard next == .residual(resamples: true) else { return }
            try take(.residual(resamples: true), as: .downsampling(level: levels - 1))
        } while true
    }

    private mutating func readMiddle() throws {
        try take(.residual(resamples: false), as: .middle(0))
        try take(.attention, as: .middle(1))
        try take(.residual(resamples: false), as: .middle(2))
    }

    private mutating func readDecoder() throws {
        for level in (0..<levels).reversed() {
            for index in 0...residualBlocks {
                try take(.residual(resamples: false), as: .decoder(level: level, index: index))
            }
            if next == .attention { try take(.attention, as: .decoder(level: level, index: residualBlocks)) }
            if level > 0 { try take(.residual(resamples: true), as: .upsampling(level: level)) }
        }
    }

    /// Channels of each level.
    func levelWidths(_ tensors: SourceTensors) throws -> [Int] {
        try (0..<levels).map { level in
            try tensors.extent(0, of: Self.key(numbers[.encoder(level: level, index: 0)]!, "Conv_0.weight"))
        }
    }

    private static let layers: [UNetParameter.Layer: String] = [
        .whole: "", .firstNorm: "GroupNorm_0.", .firstConvolution: "Conv_0.", .modulation: "Dense_0.",
        .secondNorm: "GroupNorm_1.", .secondConvolution: "Conv_1.", .skip: "Conv_2.", .attentionNorm: "GroupNorm_0.",
    ]

    /// A canonical tensor. The products of attention are matrices [inputs, outputs].
    func source(of parameter: UNetParameter) -> TensorExpression {
        let isAttention = parameter.layer.isOfAttention
        // Modules that the weights don't have are named so that their absence can be reported.
        let number = (isAttention ? attentions : numbers)[parameter.module].map(String.init) ?? "\(parameter.module)"
        func product(_ index: Int) -> TensorExpression {
            let name = "\(Self.prefix)\(number).NIN_\(index)."
            return parameter.suffix == "weight" ? .transposition(.source(name + "W")) : .source(name + "b")
        }
        switch parameter.layer {
        case .queriesKeysValues: return .concatenation([product(0), product(1), product(2)])
        case .projection: return product(3)
        default: return .source("\(Self.prefix)\(number).\(Self.layers[parameter.layer] ?? "")\(parameter.suffix)")
        }
    }
}
