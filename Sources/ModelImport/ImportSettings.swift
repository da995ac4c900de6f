public import FlowModel

/// What a user states about a source, since no file does.
public struct ImportSettings: Sendable, Equatable {
    /// The class that a class-conditional model is for.
    public enum ClassChoice: Sendable, Equatable {
        /// The class of that index.
        case index(Int)
        /// No class.
        case null
    }

    /// Which of the weights that a training run saves.
    public enum Weights: String, Sendable, CaseIterable {
        /// Their moving average.
        case averaged = "ema"
        /// Those of the last step.
        case raw
    }

    /// The kinds of noise schedule and grid that an option can name.
    public enum ScheduleKind: String, Sendable, CaseIterable {
        case linear, cosine
        case scaledLinear = "scaled-linear"
        case karras, uniform
    }

    /// The model's name.
    public var name: String
    /// The published model that the source is; it states all of the following but `sigmaMin`, `sigmaMax`,
    /// `rho`, `classChoice`, `weights` and `points`.
    public var published: PublishedModel?
    /// Height and width of the images that it was trained on.
    public var imageSize: Int?
    /// Heads of the attention blocks.
    public var heads: Int?
    /// Channels of an attention's head, instead of heads.
    public var headWidth: Int?
    /// The order of the rows of `qkv`.
    public var order: QueryKeyValueOrder?
    /// Groups of every norm.
    public var groups: Int?
    /// What the network's output means.
    public var prediction: Prediction?
    /// The noise schedule.
    public var schedule: ScheduleKind?
    /// How many timesteps the schedule has.
    public var timesteps: Int?
    /// The first share of noise of a linear schedule.
    public var betaStart: Double?
    /// The last share of noise of a linear schedule.
    public var betaEnd: Double?
    /// What the time labels are multiples of.
    public var timeScale: Double?
    /// The noise level at which a pass over noise levels begins.
    public var sigmaMin: Double?
    /// The noise level at which it ends.
    public var sigmaMax: Double?
    /// ρ of a grid of noise levels, whose points lie evenly in σ^(1/ρ).
    public var rho: Double?
    /// The class of a class-conditional model.
    public var classChoice: ClassChoice?
    /// Which weights.
    public var weights: Weights?
    /// Points of the grid of the reverse pass; of PRG's models `grid` says that.
    public var points: Int?
    /// The path that a model of PRG or torchcfm was trained on.
    public var path: ProbabilityPath?
    /// The grid of a model of PRG: the reference's `t_span` and `t_cutoff`.
    public var grid: TimeGridConfiguration?
    /// The reverse pass's solver; `euler` is what PRG's reference runs.
    public var solver = Solver.euler
    /// Class names in the order of the logits.
    public var labels: [String]?
    /// From encoded image to input; nil for what the kind of model was trained with.
    public var preprocessing: PreprocessingConfiguration?

    /// States nothing but the name.
    public init(name: String) { self.name = name }

    /// States what every model of PRG needs.
    public init(name: String, imageSize: Int, path: ProbabilityPath, grid: TimeGridConfiguration) {
        self.name = name
        self.imageSize = imageSize
        self.path = path
        self.grid = grid
    }
}

/// The options of `headwater import` that state something about a source, by their names without hyphens.
public enum ImportOption: String, Sendable, CaseIterable {
    case imageSize = "image-size"
    case heads
    case headWidth = "head-width"
    case order = "qkv-order"
    case groups
    case prediction, schedule, timesteps
    case betaStart = "beta-start"
    case betaEnd = "beta-end"
    case timeScale = "time-scale"
    case sigmaMin = "sigma-min"
    case sigmaMax = "sigma-max"
    case rho
    case classChoice = "class"
    case weights, points, path
    case grid = "t-span"
    case labels
    /// `--as`.
    case published = "as"

    /// Those that state the flow.
    static let flow = levels.union([.prediction, .schedule, .timesteps, .betaStart, .betaEnd, .timeScale])
    /// Those that state a grid of noise levels.
    static let levels: Set<ImportOption> = [.sigmaMin, .sigmaMax, .rho]
}

extension ImportSettings {
    /// The options that were given.
    var given: Set<ImportOption> {
        let values: [(ImportOption, Any?)] = [
            (.imageSize, imageSize), (.heads, heads), (.headWidth, headWidth), (.order, order), (.groups, groups),
            (.prediction, prediction), (.schedule, schedule), (.timesteps, timesteps), (.betaStart, betaStart),
            (.betaEnd, betaEnd), (.timeScale, timeScale), (.sigmaMin, sigmaMin), (.sigmaMax, sigmaMax), (.rho, rho),
            (.classChoice, classChoice), (.weights, weights),
            (.points, points), (.path, path), (.grid, grid), (.labels, labels), (.published, published),
        ]
        return Set(values.lazy.filter { $0.1 != nil }.map(\.0))
    }

    /// Checks that every option that was given says something about a model of this dialect.
    ///
    /// - Throws: `ImportError` naming the first that doesn't.
    func requireApplicable(to dialect: any Dialect) throws {
        let alwaysApplicable: Set<ImportOption> = [.published]
        if let option = given.subtracting(dialect.options).subtracting(alwaysApplicable).map(\.rawValue).min() {
            throw ImportError.options(
                "--\(option) doesn't apply to \(dialect.name): \(dialect.reason(forRefusing: option))")
        }
        guard let published else { return }
        guard published.dialect == dialect.name else {
            throw ImportError.options(
                "the file is of \(dialect.name), but --as \(published.name) is a model of \(published.dialect)")
        }
        // A model of noise levels knows them all; which of them a pass visits isn't part of what was trained.
        let selectable: Set<ImportOption> = ImportOption.levels.union([.published, .classChoice, .weights, .points])
        if let option = given.intersection(ImportOption.levels).map(\.rawValue).min(), !published.flow.isByNoiseLevel {
            throw ImportError.options(
                "--\(option) doesn't apply to --as \(published.name), whose grid isn't of noise levels")
        }
        if let option = given.subtracting(selectable).map(\.rawValue).min() {
            throw ImportError.options("--\(option) is stated by --as \(published.name) already; give one of them")
        }
    }

    /// The heads of attention that are stated.
    ///
    /// - Throws: `ImportError` if there are none, or heads and their width.
    func attentionHeads() throws -> AttentionHeads {
        if let published, let heads = published.heads { return heads }
        switch (heads, headWidth) {
        case (let heads?, nil): return .count(heads)
        case (nil, let width?): return .width(width)
        case (nil, nil):
            throw ImportError.unstated(
                .heads, .headWidth, because: "no tensor says how attention is divided into heads")
        case (_?, _?): throw ImportError.options("--heads and --head-width exclude each other; give one of them")
        }
    }

    /// The image size that is stated.
    ///
    /// - Throws: `ImportError` if there is none.
    func statedImageSize() throws -> Int {
        guard let size = published?.imageSize ?? imageSize else {
            throw ImportError.unstated(.imageSize, because: "no tensor says which images the model was trained on")
        }
        return size
    }
}

/// How attention is divided into heads.
public enum AttentionHeads: Sendable, Equatable {
    /// The same number everywhere.
    case count(Int)
    /// As many as have this many channels each.
    case width(Int)
}
