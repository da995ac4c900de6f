public import FlowModel
import Networks

/// The taps that a model has. They follow from its configuration alone, so its weights need not be read.
public struct AvailableTaps: Sendable {
    /// The points of the reverse pass, at which taps read.
    public let grid: TimeGrid
    private let configuration: ModelConfiguration
    private let network: NetworkProgram
    /// The grid point at which the head reads, or would.
    let headIndex: Int
    /// The time there.
    public var headTime: Float { grid.times[headIndex] }
    /// The time of a tap for which only a place is given: the head's, and without a head the end.
    public var usualTime: TapTime { headIndex == grid.steps ? .end : .at(headTime) }

    /// How far a requested time may be from a grid point: people type three digits, before or after the point.
    private func tolerance(at time: Float) -> Float { 1e-3 * (configuration.flow.isByNoiseLevel ? time : 1) }

    /// The taps of a model with that configuration, which passes `ModelConfiguration.validate()`.
    ///
    /// - Throws: `ConfigurationError` if the network can't be built.
    public init(_ configuration: ModelConfiguration) throws(ConfigurationError) {
        let grid = TimeGrid(configuration)
        self.grid = grid
        headIndex = configuration.head.map { grid.index(ofHead: $0) } ?? grid.steps
        self.configuration = configuration
        network = try configuration.network()
    }

    /// Finds a tap.
    ///
    /// - Throws: `TapError` if the time is not on the grid, naming the grid, or the model has no such place.
    public func resolve(_ tap: Tap) throws(TapError) -> ResolvedTap {
        let index = try gridIndex(tap.time)
        return ResolvedTap(
            gridIndex: index, time: grid.times[index], place: tap.place, dimension: try dimension(tap.place),
            direction: tap.direction)
    }

    /// The default tap of a model that is made of another one: the other's own; if this model lacks it, the same place where the
    /// head reads; if that is lacking too, the pooled state there.
    public func defaultTap(keeping own: Tap) -> Tap {
        let candidates = [own, Tap(time: usualTime, place: own.place)]
        return candidates.first { (try? resolve($0)) != nil } ?? Tap(time: usualTime, place: .pooled)
    }

    /// The grid in an error: all of its points, or the nearest one if there are too many to read.
    private func description(near nearest: Float) -> String {
        let times = grid.times
        guard times.count > 32 else { return "is " + times.map { "\($0)" }.joined(separator: ", ") }
        return "has \(times.count) points from \(times[0]) to \(times.last!); the nearest is \(nearest)"
    }

    /// The grid point of a time.
    ///
    /// - Throws: `TapError` if it is not on the grid, naming the grid.
    func gridIndex(_ time: TapTime) throws(TapError) -> Int {
        guard case .at(let wanted) = time else { return grid.steps }
        let nearest = grid.times.indices.min { abs(grid.times[$0] - wanted) < abs(grid.times[$1] - wanted) }!
        guard abs(grid.times[nearest] - wanted) <= tolerance(at: grid.times[nearest]) else {
            let described = description(near: grid.times[nearest])
            throw TapError("the time \(wanted) is not on this model's grid, which \(described)")
        }
        return nearest
    }

    private func dimension(_ place: TapPlace) throws(TapError) -> Int {
        switch place {
        case .state:
            return network.stateCount
        case .pooled:
            return 3 * configuration.pooledSize * configuration.pooledSize
        case .head:
            guard let head = configuration.head else {
                throw TapError("this model is pretrained only: it has no head to read")
            }
            guard let width = head.hiddenWidth else {
                throw TapError("this model's head is linear: it has no activations to read")
            }
            return width
        case .activation(let means):
            if let problem = network.problem(with: means) { throw TapError(problem) }
            return network.count(of: means)
        }
    }
}
