import CKernels
public import Layers
public import Tensor

/// Where in the network activations can be read.
public enum ActivationPlace: Hashable, Sendable {
    /// After the middle block.
    case middle
    /// After input block i, 0 being the first convolution.
    case down(Int)
    /// After output block i.
    case up(Int)
}

/// Evaluates the velocity of a batch of images, each at its own time, in memory allocated once for the largest batch.
///
/// Not for use by two threads at a time.
public final class VelocityEvaluator {
    /// The network evaluated.
    public let network: VelocityNetwork
    /// Most images in a batch.
    public let capacity: Int
    private let workspace: Workspace
    private let arena: ActivationArena
    private let filmRows: UnsafeMutablePointer<UnsafePointer<Float>>

    /// Allocates memory for `capacity` images. `kernels` compute in the network's precision.
    public init(network: VelocityNetwork, capacity: Int, kernels: Kernels, pool: WorkerPool) {
        precondition(capacity > 0)
        precondition(kernels.computes(network.precision), "the kernels \(kernels.name) don't multiply bf16")
        self.network = network
        self.capacity = capacity
        workspace = Workspace(kernels: kernels, pool: pool, scratchFloats: network.scratchFloats)
        arena = ActivationArena(network: network, capacity: capacity)
        filmRows = .allocate(capacity: capacity)
        filmRows.initialize(repeating: network.film.row(0), count: capacity)
    }

    deinit { filmRows.deallocate() }

    /// The kernels in use.
    public var kernels: Kernels { workspace.kernels }

    /// Where the time of evaluations is noted, if anybody wants to know.
    public var profile: LayerProfile? {
        get { workspace.profile }
        set { workspace.profile = newValue }
    }

    /// Bytes of activations and scratch.
    public var byteCount: Int { arena.byteCount + workspace.byteCount }

    /// Sets image `n` of the next batch: `planes` is [3][side][side], `time` an index into the network's times.
    public func setInput(_ n: Int, planes: UnsafePointer<Float>, time: Int) {
        precondition(n < capacity && time >= 0 && time < network.times.count)
        hw_block_rgb(arena.image.image(n), planes, arena.image.side * arena.image.side)
        filmRows[n] = network.film.row(time)
    }

    /// Writes image `n`'s velocity of the last evaluation to `planes`, [3][side][side].
    public func copyVelocity(_ n: Int, into planes: UnsafeMutablePointer<Float>) {
        hw_unblock_rgb(planes, arena.velocity.image(n), arena.image.side * arena.image.side)
    }

    /// The spatial means of the last evaluation's activations at `place`, [channels]; nil if there is no such place.
    public func spatialMeans(_ place: ActivationPlace, image n: Int) -> [Float]? {
        guard let map = arena.map(place) else { return nil }
        var means = [Float](repeating: 0, count: map.channels)
        map.spatialMeans(ofImage: n, into: &means)
        return means
    }

    /// Evaluates v(t, x) for images 0 ..< `batch`.
    public func evaluate(batch: Int) {
        precondition(batch > 0 && batch <= capacity)
        var current = arena.image
        for (stage, output) in zip(network.input, arena.inputStages) {
            run(stage, on: current, into: output, batch: batch)
            current = output
        }
        run(network.middle, on: current, into: arena.middle, batch: batch)
        for (index, stage) in network.output.enumerated() {
            run(stage, on: arena.concatenations[index], into: arena.outputStages[index], batch: batch)
        }
        network.finalConvolution.forward(
            arena.outputStages[network.output.count - 1],
            normalization: Normalization(network.finalNorm, isActivated: true), into: arena.velocity, batch: batch,
            on: workspace)
    }

    private func run(_ stage: VelocityNetwork.Stage, on input: FeatureMap, into output: FeatureMap, batch: Int) {
        var current = input
        for (index, block) in stage.blocks.enumerated() {
            let isLast = index == stage.blocks.count - 1
            let side = stage.layout.inputSize
            switch block {
            case .convolution(_, let convolution):
                // Only a stage's last block changes the resolution.
                convolution.forward(current, normalization: nil, into: output, batch: batch, on: workspace)
            case .residual(let residual):
                let target =
                    isLast ? output : arena.between(index, channels: residual.hiddenChannels, side: side)
                residual.forward(
                    current, hidden: arena.hidden(channels: residual.hiddenChannels, side: side), into: target,
                    film: UnsafePointer(filmRows), batch: batch, on: workspace)
                current = target
            case .attention(let attention):
                let target = isLast ? output : arena.between(index, channels: current.channels, side: side)
                attention.forward(
                    current, mixed: arena.mixed(channels: attention.queryKeyValueChannels, side: side),
                    attended: arena.attended(channels: attention.attendedChannels, side: side), into: target,
                    batch: batch, on: workspace)
                current = target
            }
        }
    }
}
