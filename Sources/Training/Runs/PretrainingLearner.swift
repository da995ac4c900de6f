import Differentiation
import FlowModel
import Networks
import Tensor

/// Learns the velocity of a flow (PRG, section 6, stage 1).
package final class PretrainingLearner: Learner {
    package let store: ParameterStore
    private let network: TrainableNetwork
    private let objective: FlowMatchingObjective
    private let flow: Flow
    private let seed: UInt64
    private let validation: DataFeed?
    private let pool: WorkerPool

    /// Begins with random weights; `ParameterStore.load` gives it a model's.
    ///
    /// - Parameters:
    ///   - program: the network.
    ///   - flow: of velocities; see `Flow.isVelocity`.
    ///   - capacity: images in memory at a time; see `TrainableNetwork`.
    ///   - validation: images held back, in a fixed order; nil for none.
    package init(
        _ program: NetworkProgram, flow: Flow, seed: UInt64, capacity: Int, validation: DataFeed?,
        kernels: Kernels, pool: WorkerPool
    ) {
        store = ParameterStore(shapes: program.parameters)
        network = TrainableNetwork(program, capacity: capacity, kernels: kernels, pool: pool)
        objective = FlowMatchingObjective(network)
        precondition(flow.isVelocity)
        self.flow = flow
        self.seed = seed
        self.validation = validation
        self.pool = pool
        WeightInitialization.initialize(store, seed: seed)
    }

    package func valuesChanged() { network.takeValues(from: store) }

    package func differentiate(_ batch: Batch, step: Int) -> BatchOutcome {
        let path = path(batch, step: step, use: .training)
        store.clearGradients()
        let loss = objective.differentiate(states: path.states, times: path.times, targets: path.targets)
        network.giveGradients(to: store)
        return BatchOutcome(loss: loss)
    }

    /// The loss over the images held back, each at a time and with noise that are the same at every validation.
    package func validate(beforeEachBatch: () throws -> Void) throws -> ValidationScore? {
        guard let validation else { return nil }
        var (loss, images) = (0.0, 0)
        let batches = validation.batches()
        for index in 0..<validation.batchesPerEpoch {
            try beforeEachBatch()
            let batch = try batches.next()
            guard batch.count > 0 else { continue }
            let path = path(batch, step: index, use: .validation)
            let mean = objective.loss(states: path.states, times: path.times, targets: path.targets)
            loss += Double(batch.count) * mean
            images += batch.count
        }
        return ValidationScore(loss: loss / Double(images))
    }

    private func path(_ batch: Batch, step: Int, use: FlowMatchingBatch.Use) -> FlowMatchingBatch {
        FlowMatchingBatch(
            images: batch.pixels, count: batch.count, flow: flow, seed: seed, step: step, use: use, pool: pool)
    }
}
