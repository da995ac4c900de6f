public import FlowModel

/// The points that a reverse pass visits, in the order it visits them (PRG, section 3).
///
/// The reference integrates along an ascending grid a_0 < a_1 < … . On icfm and otcfm paths, where data lie at t = 1, it
/// evaluates the network at t = a_last - a + a_first and subtracts; on gvp paths, where data lie at t = 0, at t = a and
/// adds. `times` are those t: what the pass shows to the network and what a tap's time means.
public struct TimeGrid: Sendable, Equatable {
    /// The ascending integration points a_k, the cutoff applied.
    public let points: [Float]
    /// The model's time t_k at each point: from 1 downwards on icfm and otcfm paths, from 0 upwards on gvp paths.
    public let times: [Float]
    /// The sign of the velocity in dx/da.
    public let direction: Float

    /// Builds the grid of a configuration that passes `ModelConfiguration.validate()`.
    public init(_ grid: TimeGridConfiguration, path: ProbabilityPath) {
        let all = Self.linspace(grid.count)
        switch path {
        case .icfm, .otcfm:
            let points = Array(all[(grid.cutoff ?? 0)...])
            self.points = points
            times = points.map { points[points.count - 1] - $0 + points[0] }
            direction = -1
        case .gvp:
            points = Array(all[..<(grid.cutoff ?? grid.count)])
            times = points
            direction = 1
        }
    }

    /// Steps from the image to the last point.
    public var steps: Int { points.count - 1 }

    /// The last position of a pass upstream and back. Positions count a trajectory's grid points as it visits them: 0 is the
    /// image, `steps` the end of the grid, `lastPosition` the image's place again.
    var lastPosition: Int { 2 * steps }

    /// Index into `points` and `times` of a position.
    func index(at position: Int) -> Int { position <= steps ? position : lastPosition - position }

    /// The position at which a pass in a direction visits the grid point of that index.
    func position(of index: Int, going direction: PassDirection) -> Int {
        direction == .upstream ? index : lastPosition - index
    }

    /// The network's time at an integration point, which may lie between grid points (midpoints of a step).
    func time(at point: Float) -> Float { direction < 0 ? points[points.count - 1] - point + points[0] : point }

    /// `count` equally spaced numbers from 0 to 1 in f32, counted from the nearer end, with one rounding, as PyTorch's linspace
    /// does.
    static func linspace(_ count: Int) -> [Float] {
        let step = 1 / Float(count - 1)
        return (0..<count).map { i in
            i < count / 2 ? step * Float(i) : Float(1).addingProduct(-step, Float(count - 1 - i))
        }
    }
}
