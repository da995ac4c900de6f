public import FlowModel
public import Networks
public import Tensor

/// A model ready to be run in reverse: its configuration, its network packed for the times of its grid, and its head.
/// Immutable; shared by all that compute with it.
public final class ReversibleModel: Sendable {
    /// Everything but the weights.
    public let configuration: ModelConfiguration
    /// The points of the reverse pass.
    public let grid: TimeGrid
    /// The velocity network.
    public let field: VelocityField
    /// The classification head, if the model has one.
    public let head: ClassificationHead?
    let schedule: Schedule
    private let taps: AvailableTaps
    /// Floating-point operations of one whole evaluation for one image.
    let operationsPerEvaluation: Double
    private let operationsThroughPlaces: [ActivationPlace: Double]

    /// Packs a model's weights.
    /// - Parameters:
    ///   - configuration: passes `ModelConfiguration.validate()`.
    ///   - precision: what the network's products are computed in.
    ///   - kernels: what embeds the grid's times.
    ///   - pool: workers that share the packing.
    ///   - parameters: gives each tensor by its key in a model file; what it throws is rethrown.
    public init(
        configuration: ModelConfiguration, precision: Precision = .f32, kernels: Kernels = .best, pool: WorkerPool,
        parameters: @escaping ParameterSource
    ) throws {
        self.configuration = configuration
        taps = try AvailableTaps(configuration)
        grid = taps.grid
        schedule = Schedule(grid: grid, solver: configuration.solver)
        let network = try configuration.network()
        let source = { try parameters(ModelFile.key(ofParameter: $0)) }
        field = try VelocityField(
            network, times: schedule.evaluations.map(\.label), precision: precision, kernels: kernels, pool: pool,
            parameters: source)
        operationsPerEvaluation = Double(network.floatingPointOperations())
        operationsThroughPlaces = Dictionary(
            uniqueKeysWithValues: network.places.map { ($0, Double(network.floatingPointOperations(through: $0))) })
        head = try configuration.head.map { try ClassificationHead($0, on: network, parameters: source) }
    }

    /// What the network's products are computed in.
    public var precision: Precision { field.precision }

    /// Side in pixels of the network's input.
    public var side: Int { configuration.imageSize }

    /// Numbers in a state.
    public var stateCount: Int { field.program.stateCount }

    /// The grid point at which the head reads; without a head the last.
    public var headIndex: Int { taps.headIndex }

    /// The time of a tap for which only a place is given; see `AvailableTaps.usualTime`.
    public var usualTime: TapTime { taps.usualTime }

    /// Network evaluations that a pass to the end of the grid takes.
    public var evaluationsPerPass: Int { grid.steps * configuration.solver.evaluationsPerStep }

    /// Floating-point operations of an evaluation for one image that goes as far as `place`, one of the network's.
    func operations(through place: ActivationPlace) -> Double { operationsThroughPlaces[place]! }

    /// Finds a tap on this model's grid.
    ///
    /// - Throws: `TapError` if the time is not on the grid, naming the grid, or the model has no such place.
    public func resolve(_ tap: Tap) throws(TapError) -> ResolvedTap { try taps.resolve(tap) }

    /// The states that show a pass upstream and back: those at every grid point on each way, in the order in which the pass
    /// visits them, the end of the grid once for each. Of a grid of more than `count` points, `count` of each way, spread
    /// evenly, both ends among them.
    public func roundTripTaps(atMost count: Int) -> [ResolvedTap] {
        precondition(count > 1)
        let shown = min(count, grid.times.count)
        let indices = (0..<shown).map { $0 * grid.steps / (shown - 1) }
        return indices.map { state(at: $0, .upstream) } + indices.reversed().map { state(at: $0, .downstream) }
    }

    /// The state at the end of the grid: an image's latent.
    public var latentTap: ResolvedTap { state(at: grid.steps, .upstream) }

    /// The state where a pass downstream ends: the image that it has come to.
    public var imageTap: ResolvedTap { state(at: 0, .downstream) }

    private func state(at index: Int, _ direction: PassDirection) -> ResolvedTap {
        ResolvedTap(
            gridIndex: index, time: grid.times[index], place: .state, dimension: stateCount, direction: direction)
    }

    /// The configuration's default tap.
    ///
    /// - Throws: `TapError` if the configuration names one that the model doesn't have.
    public func defaultTap() throws(TapError) -> ResolvedTap {
        try resolve(try Tap(parsing: configuration.defaultTap))
    }
}
