public import FlowModel

/// The points that a reverse pass visits, in the order it visits them (PRG, section 3).
///
/// The reference integrates along an ascending grid a_0 < a_1 < … . On icfm and otcfm paths, where data lie at t = 1, it
/// evaluates the network at t = a_last - a + a_first and subtracts; on gvp paths, where data lie at t = 0, at t = a and
/// adds. `times` are those t: what the pass shows to the network and what a tap's time means.
///
/// A parametrised flow is integrated in its own s, and `times` are the times of the model's source: t, timesteps, or σ.
public struct TimeGrid: Sendable, Equatable {
    /// The integration points, the cutoff applied: ascending on PRG's paths, s from the image on otherwise.
    public let points: [Float]
    /// The model's time at each point: from 1 downwards on icfm and otcfm paths, from 0 upwards on gvp paths.
    public let times: [Float]
    /// The sign of the velocity in dx/da.
    public let direction: Float
    /// Whether the pass goes all the way to noise, so that it may also begin there and come to an image. A grid that is cut
    /// doesn't, nor does one of noise levels whose last is below 10.
    public let reachesNoise: Bool
    /// What the state is multiplied by at each point to have the same variance everywhere.
    public let units: [Float]
    /// What an image is multiplied by to be the state at the first point.
    public let imageScale: Float
    private let flow: Flow
    /// Those of the flow's timesteps.
    private let levels: NoiseLevels?

    /// Builds the grid of a configuration that passes `ModelConfiguration.validate()`.
    public init(_ configuration: ModelConfiguration) { self.init(configuration.grid, of: configuration.flow) }

    /// Builds a valid grid of a flow.
    public init(_ grid: TimeGridConfiguration, of flow: Flow) {
        self.flow = flow
        levels = flow.parametrised?.noiseLevels
        switch flow {
        case .path(let path):
            let all = Self.linspace(grid.count)
            let dataAtEnd = path != .gvp
            let points = Array(dataAtEnd ? all[(grid.cutoff ?? 0)...] : all[..<(grid.cutoff ?? grid.count)])
            self.points = points
            reachesNoise = points.count == all.count
            let last = points[points.count - 1]
            times = dataAtEnd ? points.map { last - $0 + points[0] } : points
            direction = dataAtEnd ? -1 : 1
            units = points.map { _ in 1 }
            imageScale = 1
        case .parametrised(let flow):
            let visited = flow.grid(count: grid.count)[..<(grid.cutoff ?? grid.count)]
            points = visited.map { Float($0.s) }
            // A grid of noise levels may end at any of them.
            reachesNoise =
                visited.count == grid.count
                && (!self.flow.isByNoiseLevel || visited[visited.count - 1].s >= Self.leastNoise)
            times = visited.map { Float($0.time) }
            direction = 1
            units = visited.map { Float(flow.unit(at: $0.s)) }
            imageScale = Float(1 / (flow.imageScale * flow.unit(at: visited[0].s)))
        }
    }

    /// The least noise level, relative to the image, that counts as noise: less than a hundredth of the state's variance is the
    /// image's.
    static let leastNoise = 10.0

    /// The index of the point at which a head reads.
    public func index(ofHead head: HeadConfiguration) -> Int { head.point ?? steps }

    /// Steps from the image to the last point.
    public var steps: Int { points.count - 1 }

    /// The noise level σ at each point, relative to the image; nil on a flow in t.
    public var noiseLevels: [Float]? { flow.parametrised?.prediction == .velocity || flow.path != nil ? nil : points }

    /// A state at a point of the grid that is reached by adding noise to an image, as training does, and not by the flow.
    ///
    /// - Parameters:
    ///   - image: the normalised image.
    ///   - noise: as many standard normal numbers.
    ///   - index: the point.
    public func noised(_ image: [Float], with noise: [Float], at index: Int) -> [Float] {
        precondition(image.count == noise.count)
        let shares = flow.shares(at: flow.path == nil ? Double(points[index]) : Double(times[index]))
        let (ofNoise, ofImage) = (Float(shares.noise), Float(shares.image))
        return zip(image, noise).map { ofImage * $0 + ofNoise * $1 }
    }

    /// The last position of a pass upstream and back. Positions count a trajectory's grid points as it visits them: 0 is the
    /// image, `steps` the end of the grid, `lastPosition` the image's place again.
    var lastPosition: Int { 2 * steps }

    /// Index into `points` and `times` of a position.
    func index(at position: Int) -> Int { position <= steps ? position : lastPosition - position }

    /// The position at which a pass in a direction visits the grid point of that index.
    func position(of index: Int, going direction: PassDirection) -> Int {
        direction == .upstream ? index : lastPosition - index
    }

    /// The scalars of the ODE at a grid point; those of PRG's paths are without the sign of `direction`.
    public func point(at index: Int) -> FlowPoint {
        switch flow {
        case .path: FlowPoint(a: 0, b: 1, c: 1, label: Double(times[index]))
        case .parametrised(let flow): flow.point(at: Double(points[index]), time: Double(times[index]))
        }
    }

    /// Where and how the network is evaluated at a grid point.
    func evaluation(at index: Int) -> Evaluation { Evaluation(point(at: index)) }

    /// The same at an integration point that lies between grid points, such as the middle of a step.
    func evaluation(between point: Float) -> Evaluation {
        switch flow {
        case .path: Evaluation(label: direction < 0 ? points[points.count - 1] - point + points[0] : point)
        case .parametrised(let flow):
            Evaluation(
                flow.point(at: Double(point), time: flow.time(at: Double(point), levels: levels)))
        }
    }

    /// `count` equally spaced numbers from 0 to 1 in f32, counted from the nearer end, with one rounding, as PyTorch's linspace
    /// does.
    static func linspace(_ count: Int) -> [Float] {
        let step = 1 / Float(count - 1)
        return (0..<count).map { (i: Int) -> Float in
            i < count / 2 ? step * Float(i) : Float(1).addingProduct(-step, Float(count - 1 - i))
        }
    }
}

/// One evaluation of the network F on the way: dx/ds = a·x + b·F(c·x, label).
struct Evaluation: Hashable, Sendable {
    let label: Float
    var a: Float = 0
    var b: Float = 1
    var c: Float = 1

    /// One of PRG's paths, where the network itself is the velocity.
    init(label: Float) { self.label = label }

    init(_ point: FlowPoint) {
        label = Float(point.label)
        (a, b, c) = (Float(point.a), Float(point.b), Float(point.c))
    }

    /// Whether the network's output is the velocity as it is.
    var isVelocity: Bool { a == 0 && b == 1 }
}
