import FlowModel
import Networks

/// The table of a dialect's network: each canonical tensor as an expression over the dialect's own.
///
/// Canonical keys are those of guided-diffusion, with the rows of `qkv` by head.
struct CanonicalTable {
    /// The network.
    let architecture: UNetArchitecture
    /// The order of the rows of `qkv` that `source` gives.
    var order = QueryKeyValueOrder.heads
    /// What is added to a bias of the time embedding for a class, by the bias's canonical key.
    var fold: (key: String, addend: TensorExpression)?
    /// How many channels the source's last convolution writes. From 4 to 6 they include a variance, which comes last.
    var outputChannels = 3
    /// A canonical tensor in the source's own layout.
    let source: (UNetParameter) -> TensorExpression

    /// The canonical tensor, without `unet.` in its key.
    func expression(of parameter: ParameterShape) -> TensorExpression {
        let parameter = UNetParameter(parameter, of: architecture)
        var result = source(parameter)
        if parameter.layer == .queriesKeysValues, order != .heads {
            let channels = parameter.shape[0] / 3
            let headWidth = channels / architecture.heads(width: channels)
            result = .permutedRows(result, order: order.rows(channels: channels, headWidth: headWidth))
        }
        if parameter.layer.isOfAttention, parameter.layer != .attentionNorm, parameter.suffix == "weight" {
            result = .reshaping(result, parameter.shape)
        }
        if parameter.module == .output, (4...6).contains(outputChannels) { result = .rows(result, 0..<3) }
        if let fold, fold.key == parameter.key { result = .sum(result, fold.addend) }
        return result
    }
}

extension ImportPlan {
    /// A network without a head.
    ///
    /// - Parameters:
    ///   - flow: what it was trained on.
    ///   - settings: for the name, the grid, the solver and labels, which such a model can't have.
    ///   - table: of the network.
    ///   - source: its tensors.
    /// - Throws: `ConfigurationError` if the architecture, the flow or the grid can't be served.
    init(
        _ settings: ImportSettings, flow: Flow, table: CanonicalTable, source: SourceTensors,
        assumptions: [String] = [], isDropped: @escaping (String) -> Bool = { _ in false }
    ) throws(ConfigurationError) {
        let architecture = table.architecture
        let grid = TimeGridConfiguration(count: settings.points ?? Self.defaultPoints)
        // The default tap is computed from these, which a hostile file may state.
        try architecture.validate()
        try flow.validate()
        try grid.validate(on: flow)
        self.init(
            configuration: ModelConfiguration(
                name: settings.name, architecture: architecture, head: nil, flow: flow, grid: grid,
                solver: settings.solver,
                preprocessing: settings.preprocessing ?? .symmetric(imageSize: architecture.imageSize),
                labels: settings.labels, defaultTap: Self.defaultTap(of: architecture, flow, grid)),
            source: source,
            table: { parameter in
                table.expression(
                    of: ParameterShape(
                        key: ModelFile.parameter(ofKey: parameter.key), shape: parameter.shape,
                        startsAtZero: parameter.startsAtZero))
            },
            isDropped: isDropped, assumptions: assumptions)
    }

    /// Points of the grid of a model that isn't PRG's.
    static let defaultPoints = 17

    /// The middle of the decoder at the image, which takes a part of one evaluation. Features of diffusion models separate classes
    /// best there, at little noise (Xiang et al. 2023, DDAE; Tang et al. 2023, DIFT). docs/models.md has the measurement by which a
    /// step towards noise was rejected as the default: it costs a whole evaluation more and gains little.
    private static func defaultTap(
        of architecture: UNetArchitecture, _ flow: Flow, _ grid: TimeGridConfiguration
    ) -> String {
        let blocks = architecture.channelMultipliers.count * (architecture.residualBlocks + 1)
        let time: Double
        switch flow {
        case .path(let path): time = path == .gvp ? 0 : 1
        case .parametrised(let flow): time = flow.grid(count: grid.count)[0].time
        }
        return "\(Float(time))/up.\(blocks / 2)"
    }
}

extension PreprocessingConfiguration {
    /// Values from -1 to 1, the shorter side resized to the image size.
    static func symmetric(imageSize: Int) -> Self {
        Self(
            resizeShorterSide: imageSize, cropSize: imageSize, mean: [0.5, 0.5, 0.5],
            standardDeviation: [0.5, 0.5, 0.5])
    }
}
