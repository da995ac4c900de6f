import Differentiation
import FlowModel
import Networks
import Tensor

/// Learns a flow (PRG, section 6, stage 1).
package final class PretrainingLearner: Learner {
    package let store: ParameterStore
    private let network: TrainableNetwork
    private let flowLoss: FlowLoss
    private let validation: DataFeed?

    /// Begins with random weights; `ParameterStore.load` gives it a model's.
    ///
    /// - Parameters:
    ///   - program: the network.
    ///   - flow: what it is to learn.
    ///   - capacity: images in memory at a time; see `TrainableNetwork`.
    ///   - validation: images held back, in a fixed order; nil for none.
    package init(
        _ program: NetworkProgram, flow: Flow, seed: UInt64, capacity: Int, validation: DataFeed?,
        kernels: Kernels, pool: WorkerPool
    ) {
        store = ParameterStore(shapes: program.parameters)
        network = TrainableNetwork(program, capacity: capacity, kernels: kernels, pool: pool)
        flowLoss = FlowLoss(flow: flow, objective: FlowMatchingObjective(network), seed: seed, pool: pool)
        self.validation = validation
        WeightInitialization.initialize(store, seed: seed)
    }

    package func valuesChanged() { network.takeValues(from: store) }

    package func differentiate(_ batch: Batch, step: Int) -> BatchOutcome {
        store.clearGradients()
        let loss = flowLoss.differentiate(batch.pixels, count: batch.count, step: step)
        network.giveGradients(to: store)
        return BatchOutcome(loss: loss)
    }

    /// The loss over the images held back.
    package func validate(beforeEachBatch: () throws -> Void) throws -> ValidationScore? {
        guard let validation else { return nil }
        return ValidationScore(loss: try flowLoss.mean(over: validation, beforeEachBatch: beforeEachBatch))
    }
}
