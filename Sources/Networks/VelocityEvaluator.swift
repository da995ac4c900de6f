import CKernels
public import Layers
public import Tensor

/// Evaluates the velocity of a batch of images, each at its own time, in memory allocated once for the largest batch.
///
/// Not for use by two threads at a time.
public final class VelocityEvaluator {
    /// What is evaluated.
    public let field: VelocityField
    /// Most images in a batch.
    public let capacity: Int
    /// What it computes with; a profile may be set.
    public let workspace: Workspace
    /// For each worker the workspace in which it evaluates images of its own.
    private let divided: [Workspace]
    private let arena: Arena
    /// Of every buffer.
    private let maps: [FeatureMap]
    private let image: FeatureMap
    private let velocity: FeatureMap
    /// The row of modulations of each image.
    private let modulations: UnsafeMutablePointer<UnsafePointer<Float>>
    /// How many operations each image of the next batch takes.
    private var operationCounts: [Int]
    /// What is read of each image of the next batch.
    private var readings: [[Reading]]
    /// Those of the batch under way, by the number of operations after which they are made.
    private var readingsAfter: [Int: [Reading]] = [:]

    /// Means that are read of an image. An object, so that the worker who has the image writes its own.
    private final class Reading {
        let image: Int
        let wanted: ActivationMeans
        var values: [Float] = []

        init(_ wanted: ActivationMeans, of image: Int) {
            self.image = image
            self.wanted = wanted
        }
    }

    /// Allocates memory for `capacity` images. `kernels` compute in the field's precision.
    public init(_ field: VelocityField, capacity: Int, kernels: Kernels, pool: WorkerPool) {
        precondition(capacity > 0)
        precondition(kernels.computes(field.precision), "the kernels \(kernels.name) don't multiply bf16")
        self.field = field
        self.capacity = capacity
        let program = field.program
        workspace = Workspace(
            kernels: kernels, pool: pool, scratchFloats: program.scratchFloats(in: field.precision))
        divided = workspace.divided()
        arena = Arena(program.evaluationLayout, capacity: capacity)
        maps = program.maps(ofOwners: arena.maps)
        image = maps[program.input]
        velocity = maps[program.output]
        modulations = .allocate(capacity: capacity)
        modulations.initialize(repeating: field.modulations.row(0), count: capacity)
        operationCounts = [Int](repeating: 0, count: capacity)
        readings = [[Reading]](repeating: [], count: capacity)
    }

    deinit { modulations.deallocate() }

    /// Bytes of activations and scratch.
    public var byteCount: Int { arena.byteCount + workspace.byteCount }

    /// Sets image `n` of the next batch, which overwrites what the last evaluation left of it: `planes` is [channels][side][side],
    /// which are multiplied by `scale`, `time` an index into the field's times.
    ///
    /// - Parameters:
    ///   - place: the last place whose activations are wanted, if the velocity isn't: the image is evaluated no further. An image
    ///     goes no further than the one before it.
    ///   - means: what to read of the activations on the way, at places of the program, none beyond the last; see `takeMeans(ofImage:)`.
    public func setInput(
        _ n: Int, planes: UnsafePointer<Float>, scale: Float = 1, time: Int, through place: ActivationPlace? = nil,
        reading means: Set<ActivationMeans> = []
    ) {
        precondition(n < capacity && time >= 0 && time < field.times.count)
        hw_block_planes(image.image(n), planes, image.channels, image.side * image.side)
        if scale != 1 {
            let count = FeatureMap.dataCount(channels: image.channels, side: image.side)
            hw_axpby(image.image(n), image.image(n), 0, scale, count)
        }
        modulations[n] = field.modulations.row(time)
        operationCounts[n] = place.map(field.program.operationCount) ?? field.operations.count
        precondition(n == 0 || operationCounts[n] <= operationCounts[n - 1], "images that go further come first")
        precondition(
            means.allSatisfy { field.program.operationCount(through: $0.place) <= operationCounts[n] },
            "nothing is read beyond the last place that is evaluated")
        readings[n] = means.map { Reading($0, of: n) }
    }

    /// Writes image `n`'s velocity of the last evaluation to `planes`, [channels][side][side]; the image must have been evaluated whole.
    public func copyVelocity(_ n: Int, into planes: UnsafeMutablePointer<Float>) {
        hw_unblock_planes(planes, velocity.image(n), velocity.channels, velocity.side * velocity.side)
    }

    /// Hands over what the last evaluation has read of image `n`: [channels][divisions][divisions] of each of the means that `setInput`
    /// asked for.
    public func takeMeans(ofImage n: Int) -> [ActivationMeans: [Float]] {
        defer { readings[n] = [] }
        return Dictionary(uniqueKeysWithValues: readings[n].map { ($0.wanted, $0.values) })
    }

    /// Evaluates v(t, x) for images 0 ..< `batch`, each as far as is wanted of it.
    ///
    /// Where every worker gets as much to do, each evaluates images of its own from end to end, and they meet once: other work on
    /// the machine then delays one of them, and not all of them at the end of every operation. Otherwise they share the
    /// operations. Which worker computes a number never changes it.
    public func evaluate(batch: Int) {
        precondition(batch > 0 && batch <= capacity)
        readingsAfter = Dictionary(grouping: readings[..<batch].joined()) {
            field.program.operationCount(through: $0.wanted.place)
        }
        defer { readingsAfter = [:] }
        guard
            field.isDividedByImages(batch: batch, workers: divided.count),
            operationCounts[0] == operationCounts[batch - 1], workspace.profile == nil
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
        var end = images.upperBound
        for index in field.operations.indices {
            while end > images.lowerBound && operationCounts[end - 1] <= index { end -= 1 }
            guard end > images.lowerBound else { return }
            field.operations[index].run(
                maps, images: images.lowerBound..<end, modulations: modulations, on: workspace)
            // Now, since later operations use the memory again.
            if let due = readingsAfter[index + 1] { read(due.filter { images.contains($0.image) }, on: workspace) }
        }
    }

    /// In a section also where the images aren't divided: only there denormal numbers count as zero, and an image's bits may not
    /// depend on its batch.
    private func read(_ readings: [Reading], on workspace: Workspace) {
        workspace.pool.forEach(readings.count) { i in
            let (reading, wanted) = (readings[i], readings[i].wanted)
            let map = maps[field.program.buffer(at: wanted.place)]
            reading.values = map.means(ofImage: reading.image, divisions: wanted.divisions)
        }
    }
}
