public import Differentiation
public import FlowModel
import ReverseODE
public import Tensor

/// Learns classes from features that don't change: the head alone, the flow being as it was.
///
/// The reverse pass runs once over every image, by the inference engine, and what the head reads stays in memory: four bytes
/// for each of the head's inputs an image.
public final class HeadLearner: Learner {
    /// The parameters and their gradients.
    public let store: ParameterStore
    private let head: TrainableHead
    private let objective: HeadObjective
    private let validation: HeadFeatures?

    /// Begins with weights of zero: `WeightInitialization` or `load` gives it others.
    ///
    /// - Parameters:
    ///   - head: reads the features, of a network of that layout.
    ///   - capacity: most images of a batch.
    ///   - validation: features of the images held back; nil for none.
    public init(
        _ head: HeadConfiguration, layout: UNetLayout, smoothing: Double, capacity: Int, validation: HeadFeatures?,
        kernels: Kernels, pool: WorkerPool
    ) {
        store = ParameterStore(shapes: head.parameters(on: layout))
        self.head = TrainableHead(
            head, width: head.inputWidth(on: layout), capacity: capacity, kernels: kernels, pool: pool)
        objective = HeadObjective(self.head, smoothing: Float(smoothing))
        self.validation = validation
    }

    /// Takes in that the store's values have changed.
    public func valuesChanged() { head.takeValues(from: store) }

    /// Sets the store's gradients to those of the batch's mean loss.
    public func differentiate(_ batch: Batch, step: Int) -> BatchOutcome {
        store.clearGradients()
        let outcome = objective.differentiate(features: batch.pixels, labels: batch.labels)
        head.giveGradients(to: store)
        return BatchOutcome(loss: outcome.loss, correct: outcome.correct)
    }

    /// Cross-entropy, without smoothing, and top-1 accuracy over the images held back.
    ///
    /// - Throws: what `beforeEachBatch` throws.
    public func validate(beforeEachBatch: () throws -> Void) throws -> ValidationScore? {
        guard let validation else { return nil }
        var tally = ValidationTally()
        for first in stride(from: 0, to: validation.labels.count, by: head.capacity) {
            try beforeEachBatch()
            let rows = first..<min(first + head.capacity, validation.labels.count)
            let classes = head.configuration.classes
            let logits = head.forward(validation.rows(rows), batch: rows.count)
            for n in rows {
                let own = Array(logits[((n - first) * classes)..<((n - first + 1) * classes)])
                tally.add(logits: own, label: validation.labels[n])
            }
        }
        return tally.score
    }
}

/// What a head reads of images, computed once; damaged images that are skipped have none.
public final class HeadFeatures {
    /// The class of each image that has features.
    public let labels: [Int]
    /// Numbers of an image.
    public let width: Int
    private let values: AlignedBuffer
    /// The row of each image of the subset in `values`; nil if it has no features.
    private let rowOfPosition: [Int?]

    private static let batch = 32

    /// Runs every image of a feed upstream.
    ///
    /// - Parameters:
    ///   - feed: in its data set's order, without augmentation, the remainder kept.
    ///   - model: with a head, whose place or pooling counts, whatever its weights.
    ///   - progress: told how many images are done; what it throws ends the work.
    /// - Throws: `DataSetError` naming an image that can't be used, and what `progress` throws.
    public init(
        _ feed: DataFeed, model: ReversibleModel, kernels: Kernels, pool: WorkerPool, progress: (Int) throws -> Void
    ) throws {
        let place = model.configuration.head?.place.map { TapPlace.activation($0) } ?? .pooled
        let tap = try model.resolve(Tap(time: .end, place: place))
        width = tap.dimension
        let values = AlignedBuffer(count: feed.subset.count * tap.dimension)
        let integrator = ReverseIntegrator(model: model, capacity: Self.batch, kernels: kernels, pool: pool)
        let batches = feed.batches()
        var labels: [Int] = []
        var rows = [Int?](repeating: nil, count: feed.subset.count)
        for index in 0..<feed.batchesPerEpoch {
            let batch = try batches.next()
            let size = model.stateCount
            var passes = batch.labels.indices.map { n in
                integrator.trajectory(
                    input: Array(batch.pixels[(n * size)..<((n + 1) * size)]), taps: [tap], wantsLogits: false)
            }
            integrator.run(&passes)
            for (pass, position) in zip(passes, batch.positions) {
                (values.pointer + labels.count * tap.dimension).update(from: pass.features[0], count: tap.dimension)
                rows[position] = labels.count
                labels.append(feed.subset.labels[position])
            }
            try progress(min((index + 1) * feed.imagesPerBatch, feed.subset.count))
        }
        self.values = values
        self.labels = labels
        rowOfPosition = rows
    }

    /// The features of some images, one after another.
    func rows(_ images: Range<Int>) -> [Float] {
        Array(UnsafeBufferPointer(start: values.pointer + images.lowerBound * width, count: images.count * width))
    }

    /// Batches from a place on, without end: those of a feed of the same images, with features for pixels.
    public func batches(fromEpoch epoch: Int = 0, index: Int = 0, ordered feed: DataFeed) -> () -> Batch {
        precondition(epoch >= 0 && index >= 0 && index <= feed.batchesPerEpoch, "no such place in the epoch")
        var next = (epoch: epoch, index: index)
        var order = feed.order(epoch: epoch)
        return { [self] in
            if next.index == feed.batchesPerEpoch {
                next = (epoch: next.epoch + 1, index: 0)
                order = feed.order(epoch: next.epoch)
            }
            defer { next.index += 1 }
            let places = order.places(ofBatch: next.index, size: feed.configuration.batchSize)
            return batch(Array(order.positions[places]), epoch: next.epoch, index: next.index)
        }
    }

    private func batch(_ positions: [Int], epoch: Int, index: Int) -> Batch {
        let positions = positions.filter { rowOfPosition[$0] != nil }
        var pixels: [Float] = []
        pixels.reserveCapacity(positions.count * width)
        for position in positions { pixels += rows(rowOfPosition[position]!..<rowOfPosition[position]! + 1) }
        return Batch(
            epoch: epoch, index: index, pixels: pixels, labels: positions.map { labels[rowOfPosition[$0]!] },
            positions: positions)
    }
}
