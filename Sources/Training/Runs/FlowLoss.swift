import Differentiation
import FlowModel
import Tensor

/// What a flow's network is trained on without labels: to answer states between images and noise as its flow wants it (PRG,
/// section 6, stage 1). Everything random follows from the seed and the step.
struct FlowLoss {
    let flow: Flow
    /// Differentiates by the network that learns.
    let objective: FlowMatchingObjective
    /// The part of every batch's images that it is trained on: above 0, up to 1.
    var share = 1.0
    let seed: UInt64
    let pool: WorkerPool

    /// What the network is trained on, of images [count][3][side][side].
    func trainingBatch(_ images: [Float], count: Int, step: Int) -> FlowMatchingBatch {
        let shown = Int((Double(count) * share).rounded(.up))
        return batch(images, count: count, shown: shown, step: step, use: .training)
    }

    /// The share of some of a training batch's images in its mean loss; its gradients add up in the network.
    func differentiate(_ batch: FlowMatchingBatch, images: Range<Int>) -> Double {
        let offset = images.lowerBound * (batch.states.count / batch.times.count)
        return batch.states.withUnsafeBufferPointer { states in
            batch.targets.withUnsafeBufferPointer { targets in
                objective.differentiate(
                    states: states.baseAddress! + offset, times: Array(batch.times[images]),
                    targets: targets.baseAddress! + offset, of: batch.times.count)
            }
        }
    }

    /// The mean loss over all images of a feed, each at a time and with noise that are the same every time.
    ///
    /// - Parameter beforeEachBatch: called before every batch; what it throws is rethrown.
    /// - Throws: `DataSetError` naming an image that can't be used.
    func mean(over feed: DataFeed, beforeEachBatch: () throws -> Void) throws -> Double {
        var (loss, images) = (0.0, 0)
        let batches = feed.batches()
        for index in 0..<feed.batchesPerEpoch {
            try beforeEachBatch()
            let next = try batches.next()
            guard next.count > 0 else { continue }
            loss += Double(next.count) * held(next, number: index)
            images += next.count
        }
        return loss / Double(images)
    }

    /// The mean loss of a batch held back, each image at a time and with noise that follow from the batch's number.
    func held(_ images: Batch, number: Int) -> Double {
        let batch = batch(images.pixels, count: images.count, shown: images.count, step: number, use: .validation)
        return objective.loss(states: batch.states, times: batch.times, targets: batch.targets)
    }

    private func batch(
        _ images: [Float], count: Int, shown: Int, step: Int, use: FlowMatchingBatch.Use
    ) -> FlowMatchingBatch {
        FlowMatchingBatch(
            images: images, count: count, shown: shown, flow: flow, seed: seed, step: step, use: use, pool: pool)
    }
}
