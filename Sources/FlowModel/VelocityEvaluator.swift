import CKernels
public import Layers
public import Tensor

/// Evaluates the velocity of a batch of images, each at its own time, in memory allocated once for the largest batch.
///
/// Not for use by two threads at a time.
public final class VelocityEvaluator {
    /// The network evaluated.
    public let network: VelocityNetwork
    /// Most images in a batch.
    public let capacity: Int
    private let workspace: Workspace
    /// For each worker the workspace in which it evaluates images of its own.
    private let divided: [Workspace]
    private let arena: ActivationArena
    private let filmRows: UnsafeMutablePointer<UnsafePointer<Float>>
    /// How many stages each image of the next batch takes; more than there are for its velocity.
    private var stages: [Int]

    /// Allocates memory for `capacity` images. `kernels` compute in the network's precision.
    public init(network: VelocityNetwork, capacity: Int, kernels: Kernels, pool: WorkerPool) {
        precondition(capacity > 0)
        precondition(kernels.computes(network.precision), "the kernels \(kernels.name) don't multiply bf16")
        self.network = network
        self.capacity = capacity
        workspace = Workspace(kernels: kernels, pool: pool, scratchFloats: network.scratchFloats)
        divided = workspace.divided()
        arena = ActivationArena(network: network, capacity: capacity)
        filmRows = .allocate(capacity: capacity)
        filmRows.initialize(repeating: network.film.row(0), count: capacity)
        stages = [Int](repeating: 0, count: capacity)
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
    ///
    /// - Parameter place: the last place whose activations are wanted, if the velocity isn't: the image is evaluated no further.
    ///   An image goes no further than the one before it.
    public func setInput(_ n: Int, planes: UnsafePointer<Float>, time: Int, through place: ActivationPlace? = nil) {
        precondition(n < capacity && time >= 0 && time < network.times.count)
        hw_block_rgb(arena.image.image(n), planes, arena.image.side * arena.image.side)
        filmRows[n] = network.film.row(time)
        stages[n] = place.map(network.layout.stages(through:)) ?? wholeEvaluation
        precondition(n == 0 || stages[n] <= stages[n - 1], "images that go further come first")
    }

    private var wholeEvaluation: Int { network.input.count + 1 + network.output.count + 1 }

    /// Writes image `n`'s velocity of the last evaluation to `planes`, [3][side][side]; the image must have been evaluated whole.
    public func copyVelocity(_ n: Int, into planes: UnsafeMutablePointer<Float>) {
        hw_unblock_rgb(planes, arena.velocity.image(n), arena.image.side * arena.image.side)
    }

    /// The spatial means of the last evaluation's activations at `place`, [channels], which image `n` has come to; nil if there
    /// is no such place.
    public func spatialMeans(_ place: ActivationPlace, image n: Int) -> [Float]? {
        guard let map = arena.map(place) else { return nil }
        var means = [Float](repeating: 0, count: map.channels)
        map.spatialMeans(ofImage: n, into: &means)
        return means
    }

    /// Evaluates v(t, x) for images 0 ..< `batch`, each as far as is wanted of it.
    ///
    /// Where every worker gets as much to do, each evaluates images of its own from end to end, and they meet once: what else the
    /// machine does then holds up one of them and not, at the end of every layer, all. Otherwise they share the layers. Who
    /// computes a number never changes it.
    public func evaluate(batch: Int) {
        precondition(batch > 0 && batch <= capacity)
        guard
            network.isDividedByImages(batch: batch, workers: divided.count), stages[0] == stages[batch - 1],
            profile == nil
        else { return evaluate(0..<batch, on: workspace) }
        var section = ImageSection(evaluator: self, batch: batch)
        workspace.pool.run(on: &section) { context, worker in
            context.assumingMemoryBound(to: ImageSection.self).pointee.perform(worker)
        }
    }

    /// A whole evaluation as one section, divided by images.
    private struct ImageSection {
        let evaluator: VelocityEvaluator
        let batch: Int

        func perform(_ worker: Int) {
            let own = WorkerPool.part(worker, of: evaluator.divided.count, total: batch)
            evaluator.evaluate(own, on: evaluator.divided[worker])
        }
    }

    private func evaluate(_ images: Range<Int>, on workspace: Workspace) {
        var taken = 0
        // The images, the first ones, that take the next stage too.
        func going() -> Range<Int> {
            taken += 1
            return images.lowerBound..<images.reduce(images.lowerBound) { stages[$1] >= taken ? $1 + 1 : $0 }
        }
        var current = arena.image
        for (stage, output) in zip(network.input, arena.inputStages) {
            run(stage, on: current, into: output, images: going(), workspace)
            current = output
        }
        run(network.middle, on: current, into: arena.middle, images: going(), workspace)
        for (index, stage) in network.output.enumerated() {
            run(stage, on: arena.concatenations[index], into: arena.outputStages[index], images: going(), workspace)
        }
        let whole = going()
        guard !whole.isEmpty else { return }
        network.finalConvolution.forward(
            arena.outputStages[network.output.count - 1].images(from: whole.lowerBound),
            normalization: Normalization(network.finalNorm, isActivated: true),
            into: arena.velocity.images(from: whole.lowerBound), batch: whole.count, on: workspace)
    }

    private func run(
        _ stage: VelocityNetwork.Stage, on input: FeatureMap, into output: FeatureMap, images: Range<Int>,
        _ workspace: Workspace
    ) {
        guard !images.isEmpty else { return }
        let (first, batch, side) = (images.lowerBound, images.count, stage.layout.inputSize)
        let output = output.images(from: first)
        var current = input.images(from: first)
        for (index, block) in stage.blocks.enumerated() {
            func target(channels: Int) -> FeatureMap {
                index == stage.blocks.count - 1
                    ? output : arena.between(index, channels: channels, side: side).images(from: first)
            }
            switch block {
            case .convolution(_, let convolution):
                // Only a stage's last block changes the resolution.
                convolution.forward(current, normalization: nil, into: output, batch: batch, on: workspace)
            case .residual(let residual):
                let target = target(channels: residual.hiddenChannels)
                residual.forward(
                    current, hidden: arena.hidden(channels: residual.hiddenChannels, side: side).images(from: first),
                    into: target, film: UnsafePointer(filmRows) + first, batch: batch, on: workspace)
                current = target
            case .attention(let attention):
                let target = target(channels: current.channels)
                attention.forward(
                    current,
                    mixed: arena.mixed(channels: attention.queryKeyValueChannels, side: side).images(from: first),
                    attended: arena.attended(channels: attention.attendedChannels, side: side).images(from: first),
                    into: target, batch: batch, on: workspace)
                current = target
            }
        }
    }
}
