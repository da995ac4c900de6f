public import Networks
public import Tensor

/// Advances trajectories through a model's reverse pass, one network evaluation for a whole batch at a time.
///
/// Trajectories may be anywhere on the grid and want different taps. An image's numbers don't depend on which others
/// are in its batch. Not for use by two threads at a time.
public final class ReverseIntegrator {
    /// The model whose pass it is.
    public let model: ReversibleModel
    /// What evaluates the velocities of a step.
    public let evaluator: VelocityEvaluator
    /// The trajectories of the current batch, by index, those that go furthest first.
    private var order: [Int] = []

    /// Allocates memory for batches of up to `capacity` images.
    public init(model: ReversibleModel, capacity: Int, kernels: Kernels, pool: WorkerPool) {
        self.model = model
        evaluator = VelocityEvaluator(model.field, capacity: capacity, kernels: kernels, pool: pool)
        order.reserveCapacity(capacity)
    }

    /// Does one evaluation for each of the trajectories at `indices`, none of them finished, at most `capacity` of them; the last
    /// one of a trajectory that only reads activations goes no further than these.
    public func step(_ trajectories: inout [Trajectory], at indices: [Int]) {
        guard !indices.isEmpty else { return }
        order.removeAll(keepingCapacity: true)
        for index in indices {
            let count = trajectories[index].operationsWanted(of: model)
            let place = order.firstIndex { trajectories[$0].operationsWanted(of: model) < count } ?? order.endIndex
            order.insert(index, at: place)
        }
        for (n, index) in order.enumerated() {
            trajectories[index].prepare(n, of: evaluator, model: model)
        }
        evaluator.evaluate(batch: order.count)
        for (n, index) in order.enumerated() { trajectories[index].advance(n, of: evaluator, model: model) }
    }

    /// Runs trajectories to their ends, the first `capacity` unfinished ones at a time, for offline work.
    public func run(_ trajectories: inout [Trajectory]) {
        while true {
            let unfinished = trajectories.indices.filter { !trajectories[$0].isFinished }
            guard !unfinished.isEmpty else { return }
            step(&trajectories, at: Array(unfinished.prefix(evaluator.capacity)))
        }
    }

    /// What taps read of images to which noise was added, instead of the flow that leads to the taps' times; see
    /// `TimeGrid.noised(_:with:at:)`.
    ///
    /// - Parameters:
    ///   - images: normalised inputs and as many standard normal numbers of each.
    ///   - taps: taps on the way upstream.
    /// - Returns: for each image the numbers of each tap. They may be infinite or NaN.
    public func features(of images: [(input: [Float], noise: [Float])], taps: [ResolvedTap]) -> [[[Float]]] {
        var features = images.map { _ in taps.map { _ in [Float]() } }
        for index in Set(taps.map(\.gridIndex)) {
            let read = taps.indices.filter { taps[$0].gridIndex == index }
            var trajectories = images.map {
                trajectory(
                    input: model.grid.noised($0.input, with: $0.noise, at: index), from: .point(index),
                    taps: read.map { taps[$0] }, wantsLogits: false)
            }
            run(&trajectories)
            for (image, trajectory) in trajectories.enumerated() {
                for (tap, values) in zip(read, trajectory.features) { features[image][tap] = values }
            }
        }
        return features
    }

    /// A trajectory of this model, to be advanced here; see `Trajectory.init`.
    public func trajectory(
        input: [Float], from start: PassStart = .image, taps: [ResolvedTap], wantsLogits: Bool
    ) -> Trajectory {
        Trajectory(
            input: input, from: start, taps: taps, wantsLogits: wantsLogits, model: model,
            kernels: evaluator.workspace.kernels)
    }
}
