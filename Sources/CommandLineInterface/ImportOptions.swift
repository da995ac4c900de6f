import Arguments
import FlowModel
import ModelImport

/// The options of `headwater import`.
enum ImportOptions {
    static let output = Option("output", short: "o", required: .file, help: "The model file to write.")
    static let published = Option(
        "as", optional: .publishedModel,
        help:
            "The published model that SOURCE contains. This determines everything except --class, --weights, --points "
            + "and, for models of noise levels, --sigma-min, --sigma-max and --rho.")
    static let solver = Option(
        "solver", .choice("SOLVER", of: Solver.self), default: .euler,
        help: "The solver of the reverse ODE. PRG's reference uses euler.")
    static let labels = Option("labels", optional: .file, help: "A text file with one class name a line.")
    static let name = Option(
        "name", optional: .string("NAME"), help: "The model's name. The default is the output file's name.")

    private static let imageSize = Option(
        ImportOption.imageSize.rawValue, optional: .integer(in: 1...4096),
        help: "The height and width of the images that the model was trained on.")
    private static let heads = Option(
        ImportOption.heads.rawValue, optional: .integer(in: 1...256),
        help: "The number of heads of the attention blocks. The default for PRG is 4.")
    private static let headWidth = Option(
        ImportOption.headWidth.rawValue, optional: .integer(in: 1...4096),
        help: "The number of channels of a head, instead of --heads.")
    private static let order = Option(
        ImportOption.order.rawValue, optional: .choice("ORDER", of: QueryKeyValueOrder.self),
        help: "The order of the rows of qkv: by head, in thirds of queries, keys and values, or by channel.")
    private static let groups = Option(
        ImportOption.groups.rawValue, optional: .integer(in: 32...32),
        help:
            "The number of groups of GroupNorms with fewer than 128 channels. EDM and RectifiedFlow use fewer than 32 "
            + "there, which is not supported. Give 32 if your network has 32 everywhere."
    )
    private static let classChoice = Option(
        ImportOption.classChoice.rawValue, optional: .classChoice,
        help:
            "For a class-conditional model: the class to compute features for, counted from 0, or null for none."
    )
    private static let weights = Option(
        ImportOption.weights.rawValue, optional: .choice("WEIGHTS", of: ImportSettings.Weights.self),
        help: "The weights of a training run to import: their moving average (the default) or those of the last step.")
    private static let points = Option(
        ImportOption.points.rawValue, optional: .integer(in: 2...10_000),
        help: "The number of points of the time grid of a model that isn't PRG's. The default is 17.")
    static let network = OptionGroup(
        "Settings that tensors don't contain",
        [imageSize, heads, headWidth, order, groups, classChoice, weights, points])

    private static let prediction = Option(
        ImportOption.prediction.rawValue, optional: .choice("WHAT", of: Prediction.self),
        help: "What the network's output means.")
    private static let schedule = Option(
        ImportOption.schedule.rawValue, optional: .choice("KIND", of: ImportSettings.ScheduleKind.self),
        help: "How the noise grows with time.")
    private static let timesteps = Option(
        ImportOption.timesteps.rawValue, optional: .integer(in: 2...10_000),
        help: "The number of timesteps of the schedule. The default is 1000.")
    private static let betaStart = Option(
        ImportOption.betaStart.rawValue, optional: .number(in: 0...1),
        help: "The noise of the first timestep. The default is 0.1 divided by --timesteps.")
    private static let betaEnd = Option(
        ImportOption.betaEnd.rawValue, optional: .number(in: 0...1),
        help: "The noise of the last timestep. The default is 20 divided by --timesteps.")
    private static let timeScale = Option(
        ImportOption.timeScale.rawValue, optional: .number(in: 0.000001...1_000_000),
        help: "What the network's time labels are multiplied by, such as 0.25 for 4000 rescaled timesteps.")
    private static let sigmaMin = Option(
        ImportOption.sigmaMin.rawValue, optional: .number("SIGMA", in: 0.000001...80),
        help:
            "For models of noise levels, such as EDM: the noise level at which the pass begins. The default is 0.002, "
            + "and 0.02 for --prediction ve.")
    private static let sigmaMax = Option(
        ImportOption.sigmaMax.rawValue, optional: .number("SIGMA", in: 0.000001...80),
        help: "The noise level at which such a pass ends. The default is 80.")
    private static let rho = Option(
        ImportOption.rho.rawValue, optional: .number("RHO", in: 1...100),
        help: "The points of such a pass are evenly spaced in the noise level raised to 1/RHO. The default is 7.")
    static let flow = OptionGroup(
        "Flows and diffusions",
        [prediction, schedule, timesteps, betaStart, betaEnd, timeScale, sigmaMin, sigmaMax, rho])

    private static let path = Option(
        ImportOption.path.rawValue, optional: .choice("PATH", of: ProbabilityPath.self),
        help: "The probability path that a model of PRG or torchcfm was trained on.")
    private static let span = Option(
        ImportOption.grid.rawValue, optional: .integer(in: 2...10_000),
        help: "The number of points of the time grid: the reference's t_span.")
    private static let cutoff = Option(
        "t-cutoff", optional: .integer(in: 0...10_000),
        help: "The point at which the grid is cut: the reference's t_cutoff.")
    static let reference = OptionGroup("Models of PRG", [path, span, cutoff, GridOptions.headTime])

    /// The dialects but PRG's, for the help.
    static let dialects = CheckpointImport.dialects.filter { $0 != "PRG" }.joined(separator: ", ")

    /// What the options state.
    ///
    /// - Throws: `UsageError` if `--t-cutoff` is given without `--t-span`.
    static func settings(_ arguments: ParsedArguments, name: String, labels: [String]?) throws -> ImportSettings {
        var settings = ImportSettings(name: name)
        settings.published = try arguments[published]
        settings.imageSize = try arguments[imageSize]
        settings.heads = try arguments[heads]
        settings.headWidth = try arguments[headWidth]
        settings.order = try arguments[order]
        settings.groups = try arguments[groups]
        settings.classChoice = try arguments[classChoice]
        settings.weights = try arguments[weights]
        settings.points = try arguments[points]
        settings.prediction = try arguments[prediction]
        settings.schedule = try arguments[schedule]
        settings.timesteps = try arguments[timesteps]
        settings.betaStart = try arguments[betaStart]
        settings.betaEnd = try arguments[betaEnd]
        settings.timeScale = try arguments[timeScale]
        settings.sigmaMin = try arguments[sigmaMin]
        settings.sigmaMax = try arguments[sigmaMax]
        settings.rho = try arguments[rho]
        settings.path = try arguments[path]
        let (span, cutoff) = (try arguments[span], try arguments[cutoff])
        guard span != nil || cutoff == nil else {
            throw UsageError(
                "has no effect without --t-span", at: "--t-cutoff",
                remedy: "give --t-span too, or leave "
                    + "it out")
        }
        settings.grid = span.map { TimeGridConfiguration(count: $0, cutoff: cutoff) }
        settings.solver = try arguments[solver]
        settings.labels = labels
        return settings
    }
}

extension ValueSyntax where Value == PublishedModel {
    /// A published model by its name.
    fileprivate static var publishedModel: ValueSyntax {
        let names = PublishedModel.all.map(\.name)
        return ValueSyntax(
            placeholder: "MODEL", rule: "one of \(names.joined(separator: ", "))", completion: .choices(names),
            parse: { PublishedModel(named: $0) }, format: \.name)
    }
}

extension ValueSyntax where Value == ImportSettings.ClassChoice {
    /// A class by its index, or none.
    fileprivate static var classChoice: ValueSyntax {
        let index = ValueSyntax<Int>.integer(in: 0...1_000_000)
        return ValueSyntax(
            placeholder: "N|null", rule: "a class's index, counted from 0, or null",
            parse: { text in text == "null" ? .null : index.parse(text).map { .index($0) } },
            format: { choice in
                switch choice {
                case .index(let index): "\(index)"
                case .null: "null"
                }
            })
    }
}
