import Differentiation
import FlowModel
import Layers
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
    ///   - sums: how the workers divide the gradients.
    ///   - validation: images held back, in a fixed order; nil for none.
    package init(
        _ program: NetworkProgram, flow: Flow, seed: UInt64, capacity: Int, sums: GradientSums = .fastest,
        validation: DataFeed?, kernels: Kernels, pool: WorkerPool
    ) {
        store = ParameterStore(shapes: program.parameters)
        network = TrainableNetwork(program, capacity: capacity, sums: sums, kernels: kernels, pool: pool)
        flowLoss = FlowLoss(flow: flow, objective: FlowMatchingObjective(network), seed: seed, pool: pool)
        self.validation = validation
        WeightInitialization.initialize(store, seed: seed)
    }

    package func valuesChanged() { network.takeValues(from: store) }

    package func differentiate(_ batch: Batch, parts: [Range<Int>], step: Int, partDone: (BatchOutcome) -> Void) {
        let flowBatch = flowLoss.trainingBatch(batch.pixels, count: batch.count, step: step)
        for part in parts {
            store.clearGradients()
            let loss = flowLoss.differentiate(flowBatch, images: part)
            network.giveGradients(to: store)
            partDone(BatchOutcome(loss: loss))
        }
    }

    /// The loss over the images held back.
    package func validate(beforeEachBatch: () throws -> Void) throws -> ValidationScore? {
        guard let validation else { return nil }
        return ValidationScore(loss: try flowLoss.mean(over: validation, beforeEachBatch: beforeEachBatch))
    }
}
