public import Networks

/// The kind of probability path that a flow model was trained on; it fixes where the data lie in time and so which way
/// the reverse pass runs (PRG, section 3; Lipman et al. 2022 for `icfm`, Tong et al. 2023 for `otcfm`, Albergo and
/// Vanden-Eijnden 2022 for the trigonometric `gvp` path).
public enum ProbabilityPath: String, Codable, Sendable, CaseIterable {
    /// Independent coupling, noise at t = 0, data at t = 1.
    case icfm
    /// Minibatch optimal-transport coupling, noise at t = 0, data at t = 1.
    case otcfm
    /// Variance-preserving trigonometric diffusion path, data at t = 0.
    case gvp
}

/// How the reverse ODE is integrated on its grid.
public enum Solver: String, Codable, Sendable, CaseIterable {
    /// Explicit Euler, one evaluation a step: what the reference implementation runs.
    case euler
    /// Heun's second-order method (explicit trapezoid), two evaluations a step.
    case heun
    /// The explicit midpoint method, two evaluations a step.
    case midpoint
    /// The classical Runge-Kutta method of order four, four evaluations a step.
    case rk4
    /// Two-step Adams-Bashforth with variable step sizes, one evaluation a step; its first step is Euler's.
    case ab2
}

/// The classification head, on the pooled state at a point of the grid, in the paper the last, or on the network's own
/// activations there: LayerNorm, Linear, Tanh, Linear without bias (PRG, section 4), or a linear head, LayerNorm and Linear alone.
public struct HeadConfiguration: Codable, Sendable, Equatable {
    /// Height and width that the final state is average-pooled to; 16 in the published checkpoints, or 32.
    public var pooledSize: Int
    /// Width of the hidden layer, whose tanh activations are the `head` tap; nil for a linear head, which has neither.
    public var hiddenWidth: Int?
    /// How many classes the logits name.
    public var classes: Int
    /// What it reads: these means of the activations when the network is evaluated at the head's point,
    /// which takes one evaluation more than the pass to it; nil for the pooled state.
    public var place: ActivationMeans?
    /// The grid point at which it reads, counted from the image's, 0; before the last. Nil for the last.
    public var point: Int?

    /// Describes a head.
    public init(
        pooledSize: Int, hiddenWidth: Int?, classes: Int, place: ActivationMeans? = nil, point: Int? = nil
    ) {
        self.place = place
        self.point = point
        self.pooledSize = pooledSize
        self.hiddenWidth = hiddenWidth
        self.classes = classes
    }
}

/// The grid of the reverse pass: `count` equally spaced times on [0, 1], cut at `cutoff` (PRG, section 3).
public struct TimeGridConfiguration: Codable, Sendable, Equatable {
    /// How many points `linspace(0, 1, count)` has (the reference's `t_span`); at least 2.
    public var count: Int
    /// The reference's `t_cutoff`: icfm and otcfm keep `grid[cutoff...]`, gvp keeps `grid[..<cutoff]`; nil keeps all.
    public var cutoff: Int?

    /// Describes a grid.
    public init(count: Int, cutoff: Int? = nil) {
        self.count = count
        self.cutoff = cutoff
    }
}

/// How an encoded image becomes the network's input (PRG, section 5): the shorter side is resized to `resizeShorterSide`
/// (bicubic with antialias, as Pillow does it), the centre `cropSize` square is kept, and each channel is divided by
/// 255, reduced by `mean` and divided by `standardDeviation`.
public struct PreprocessingConfiguration: Codable, Sendable, Equatable {
    /// Length in pixels that the shorter side is resized to.
    public var resizeShorterSide: Int
    /// Side in pixels of the square kept; the network's image size.
    public var cropSize: Int
    /// Mean of each channel (red, green, blue) on the scale 0...1.
    public var mean: [Float]
    /// Standard deviation of each channel (red, green, blue) on the scale 0...1.
    public var standardDeviation: [Float]

    /// Describes a preprocessing.
    public init(resizeShorterSide: Int, cropSize: Int, mean: [Float], standardDeviation: [Float]) {
        self.resizeShorterSide = resizeShorterSide
        self.cropSize = cropSize
        self.mean = mean
        self.standardDeviation = standardDeviation
    }

    /// The reference's evaluation transform for an image size: ImageNet's mean and deviation; above 32 pixels the
    /// shorter side is resized to int(256/224·size), at 32 and below to the size itself.
    public static func reference(imageSize: Int) -> Self {
        Self(
            resizeShorterSide: imageSize > 32 ? imageSize * 256 / 224 : imageSize, cropSize: imageSize,
            mean: [0.485, 0.456, 0.406], standardDeviation: [0.229, 0.224, 0.225])
    }
}

/// Everything about a model but its weights: one JSON document under `headwater` in the safetensors `__metadata__`.
public struct ModelConfiguration: Codable, Sendable, Equatable {
    /// The newest format version that this build reads.
    public static let currentFormatVersion = 3

    /// Version of this document's format: 1 for PRG's own network and paths, 2 if the network has a variant or the flow is
    /// parametrised, 3 if the head reads before the end of the grid.
    public var formatVersion: Int
    /// The model's name, as `/model` and the responses give it: letters, digits, `-`, `_` and `.`.
    public var name: String
    /// The velocity network.
    public var architecture: UNetArchitecture
    /// The classification head; nil for a model that is only pretrained.
    public var head: HeadConfiguration?
    /// The flow that the model was trained on.
    public var flow: Flow
    /// The reverse pass's grid.
    public var grid: TimeGridConfiguration
    /// The reverse pass's solver.
    public var solver: Solver
    /// From encoded image to network input.
    public var preprocessing: PreprocessingConfiguration
    /// Class names in the order of the logits; nil if none were given.
    public var labels: [String]?
    /// The tap that `/embed` answers when a request names none, such as `end/pooled` (see `ReverseODE.Tap`).
    public var defaultTap: String
    /// What the model answered when its file was written; nil in files from before this was recorded.
    public var selfTest: SelfTestRecord?

    /// Puts a configuration together.
    public init(
        name: String, architecture: UNetArchitecture, head: HeadConfiguration?, flow: Flow,
        grid: TimeGridConfiguration, solver: Solver = .euler, preprocessing: PreprocessingConfiguration,
        labels: [String]? = nil, defaultTap: String = "end/pooled", selfTest: SelfTestRecord? = nil
    ) {
        formatVersion = Self.formatVersion(of: architecture, flow, head)
        self.name = name
        self.architecture = architecture
        self.head = head
        self.flow = flow
        self.grid = grid
        self.solver = solver
        self.preprocessing = preprocessing
        self.labels = labels
        self.defaultTap = defaultTap
        self.selfTest = selfTest
    }

    /// Puts a configuration of one of PRG's paths together.
    public init(
        name: String, architecture: UNetArchitecture, head: HeadConfiguration?, path: ProbabilityPath,
        grid: TimeGridConfiguration, solver: Solver = .euler, preprocessing: PreprocessingConfiguration,
        labels: [String]? = nil, defaultTap: String = "end/pooled", selfTest: SelfTestRecord? = nil
    ) {
        self.init(
            name: name, architecture: architecture, head: head, flow: .path(path), grid: grid, solver: solver,
            preprocessing: preprocessing, labels: labels, defaultTap: defaultTap, selfTest: selfTest)
    }

    /// The velocity network, without weights.
    ///
    /// - Throws: `ConfigurationError` if it can't be built.
    public func network() throws(ConfigurationError) -> NetworkProgram {
        try architecture.program(frequencies: flow.frequencies)
    }

    /// Height and width of the network's input in pixels.
    public var imageSize: Int { architecture.imageSize }

    /// Height and width that states are pooled to: the head's; without a head those of the published heads, 16, or the image's
    /// own if it is smaller.
    public var pooledSize: Int { head?.pooledSize ?? min(16, imageSize) }
}
