public import FlowModel
import Tensor

#if canImport(Glibc)
    import Glibc
#endif

/// Where a trajectory begins. From there on, all kinds take the same steps.
public enum PassStart: Sendable, Hashable {
    /// At an image, upstream.
    case image
    /// At the point of this index on the grid, upstream. The state is given as the flow has it there; see `TimeGrid.noised(_:with:at:)`.
    case point(Int)
    /// At the end of the grid, downstream to an image. The state is given in units of constant variance, as `state` is read; see
    /// `ParametrisedFlow.unit(at:)`.
    case gridEnd

    /// The position; see `TimeGrid.index(at:)`.
    func position(on grid: TimeGrid) -> Int {
        switch self {
        case .image: 0
        case .point(let index): index
        case .gridEnd: grid.steps
        }
    }

    /// What the numbers given are multiplied by to be the state there.
    func scale(on grid: TimeGrid) -> Float {
        switch self {
        case .image: grid.imageScale
        case .point: 1
        case .gridEnd: 1 / grid.units[grid.steps]
        }
    }
}

/// The noise that images are made from: of each image, standard normal numbers that depend on the seed and its index alone.
public struct GenerationNoise: Sendable, Hashable {
    /// What the noise depends on.
    public let seed: UInt64

    /// The noise of a seed.
    public init(seed: UInt64) { self.seed = seed }

    /// The first `count` numbers of the noise of image `index`, at least 0.
    public func numbers(ofImage index: Int, count: Int) -> [Float] {
        [Float](unsafeUninitializedCapacity: count) { buffer, written in
            CounterGenerator(seed: seed, purpose: .samples, step: index)
                .writeNormals(0..<count, to: buffer.baseAddress!)
            written = count
        }
    }
}

extension ReverseIntegrator {
    /// Images made from noise, in the image's own values, [3][side][side] of each. Numbers don't depend on the capacity, nor on
    /// which images are made together. They may be infinite or NaN.
    ///
    /// - Parameters:
    ///   - indices: which images of the noise.
    ///   - noise: where they begin; the model's grid must reach noise.
    ///   - beforeEachStep: called before every evaluation; what it throws ends the work.
    public func images<Failure: Error>(
        _ indices: Range<Int>, from noise: GenerationNoise, beforeEachStep: () throws(Failure) -> Void
    ) throws(Failure) -> [[Float]] {
        precondition(model.grid.reachesNoise)
        var images: [[Float]] = []
        for start in stride(from: indices.lowerBound, to: indices.upperBound, by: evaluator.capacity) {
            var trajectories = (start..<min(start + evaluator.capacity, indices.upperBound)).map { index in
                trajectory(
                    input: noise.numbers(ofImage: index, count: model.stateCount), from: .gridEnd,
                    taps: [model.imageTap], wantsLogits: false)
            }
            while !trajectories[0].isFinished {
                try beforeEachStep()
                step(&trajectories, at: Array(trajectories.indices))
            }
            images += trajectories.map { model.configuration.flow.imageValues(ofState: $0.features[0]) }
        }
        return images
    }
}

extension ModelConfiguration {
    /// The fewest points of a grid to noise that is made for a model whose own ends before.
    public static let pointsToNoise = 33

    /// This configuration for making images, without a head: on a grid to noise of so many points, or else on its own grid if
    /// that reaches noise, or else on one with as many points as its own has before the cutoff, but at least `pointsToNoise`.
    /// Noise levels that end before noise go on to `NoiseLevels.largest`.
    ///
    /// - Parameters:
    ///   - points: of the grid; 2 or more.
    ///   - solver: the method of integration; nil for its own.
    public func forGeneration(points: Int? = nil, solver: Solver? = nil) -> ModelConfiguration {
        var configuration = self
        if let points {
            configuration.grid = TimeGridConfiguration(count: points)
        } else if !TimeGrid(self).reachesNoise {
            configuration.grid = TimeGridConfiguration(count: max(grid.count, Self.pointsToNoise))
        }
        configuration.flow = flow.toNoise()
        if let solver { configuration.solver = solver }
        (configuration.head, configuration.labels, configuration.selfTest) = (nil, nil, nil)
        configuration.defaultTap = "end/state"
        return configuration
    }
}

extension Flow {
    /// This flow, with noise levels to the largest if its own end before noise.
    fileprivate func toNoise() -> Flow {
        guard case .parametrised(var flow) = self,
            case .noise(.levels(let smallest, let largest, let rho)) = flow.times,
            largest < TimeGrid.leastNoise
        else { return self }
        flow.times = .noise(.levels(smallest: smallest, largest: NoiseLevels.largest, rho: rho))
        return .parametrised(flow)
    }
}

/// Spherical interpolation between two latents (Shoemake 1985). Linear interpolation would pass through shorter states, from
/// which the flow makes no proper images.
public struct LatentPath: Sendable {
    private let start: [Float]
    private let end: [Float]
    /// The cosine of the angle between the two.
    public let cosine: Double

    /// - Parameters:
    ///   - start: a state in units of constant variance.
    ///   - end: another one of the same model.
    public init(from start: [Float], to end: [Float]) {
        precondition(start.count == end.count)
        (self.start, self.end) = (start, end)
        var (product, first, second) = (0.0, 0.0, 0.0)
        for (a, b) in zip(start, end) {
            product += Double(a) * Double(b)
            first += Double(a) * Double(a)
            second += Double(b) * Double(b)
        }
        let lengths = (first * second).squareRoot()
        cosine = lengths > 0 ? max(-1, min(1, product / lengths)) : 1
    }

    /// The latent at a fraction of the way, exactly the start at 0 and the end at 1.
    public func latent(at fraction: Double) -> [Float] {
        let angle = acos(cosine)
        // Where the two have one direction, or opposite ones, no circle through both is defined.
        guard sin(angle) > 1e-4 else {
            return fraction == 1 ? end : zip(start, end).map { $0 + Float(fraction) * ($1 - $0) }
        }
        let (first, second) = (sin((1 - fraction) * angle) / sin(angle), sin(fraction * angle) / sin(angle))
        return zip(start, end).map { Float(first * Double($0) + second * Double($1)) }
    }
}
