import FlowModel
import ReverseODE
import Tensor

/// What a head's layers read of images, for heads of a flow that doesn't change: computed once and kept in memory, four bytes a
/// number. Damaged images that are skipped have none.
final class HeadFeatures {
    let total: Int
    let width: Int
    /// How many of the images are done, from the first, those without features included.
    private(set) var done = 0
    /// The images that have features, by their places among all.
    private(set) var positions: [Int] = []
    private let labelOfPosition: [Int]
    /// [total][width], rows in the order of `positions`, each normalised as the head's LayerNorm does, without its scales
    /// and offsets.
    private let values: AlignedBuffer

    var count: Int { positions.count }

    var isComplete: Bool { done == total }

    /// Makes room for images with these labels, at least one, of each of which the head reads `width` numbers.
    init(labels: [Int], width: Int) {
        total = labels.count
        labelOfPosition = labels
        self.width = width
        values = AlignedBuffer(count: labels.count * width)
    }

    /// Runs the images that aren't done upstream.
    ///
    /// - Parameters:
    ///   - feed: of these images, in their data set's order, without augmentation, the remainder kept.
    ///   - model: with a head, whose point and place or pooling count, whatever its weights.
    ///   - progress: told how many images are done, after every batch of the feed; what it throws ends the work, which can be
    ///     taken up again.
    /// - Throws: `DataSetError` naming an image that can't be used, and what `progress` throws.
    func compute(
        _ feed: DataFeed, model: ReversibleModel, kernels: Kernels, pool: WorkerPool, progress: (Int) throws -> Void
    ) throws {
        guard !isComplete else { return }
        precondition(feed.subset.count == total && done.isMultiple(of: feed.imagesPerBatch))
        let place = model.configuration.head?.place.map { TapPlace.activation($0) } ?? .pooled
        let tap = try model.resolve(Tap(time: model.usualTime, place: place))
        let integrator = ReverseIntegrator(forBatchesOf: model, kernels: kernels, pool: pool)
        let batches = feed.batches(index: done / feed.imagesPerBatch)
        while !isComplete {
            let batch = try batches.next()
            for (pass, position) in zip(integrator.passes(of: batch, taps: [tap]), batch.positions) {
                (values.pointer + count * width).update(from: Standardized(pass.features[0][...]).values, count: width)
                positions.append(position)
            }
            done = min(done + feed.imagesPerBatch, total)
            try progress(done)
        }
    }

    var rows: [Float] { Array(UnsafeBufferPointer(start: values.pointer, count: count * width)) }

    /// Takes over what was done before.
    ///
    /// - Parameters:
    ///   - positions: ascending, below `done`.
    ///   - done: as in `done`.
    func take(_ rows: [Float], positions: [Int], done: Int) {
        precondition(rows.count == positions.count * width && done <= total && positions.count <= done)
        values.pointer.update(from: rows, count: rows.count)
        self.positions = positions
        self.done = done
    }

    /// What varies over the rows, all done, in every dimension.
    func standardization(leastDeviation: Double, floor: Double) -> Standardization {
        Standardization(values.pointer, count: count, dimension: width, leastDeviation: leastDeviation, floor: floor)
    }

    /// The rows, all done, scaled and offset as the LayerNorm of a head does.
    ///
    /// - Parameter balancesClasses: whether rows are weighted so that every class that has any counts the same.
    func rows(scales: [Float], offsets: [Float], balancesClasses: Bool = false) -> FeatureRows {
        precondition(isComplete && count > 0)
        let labels = positions.map { labelOfPosition[$0] }
        let scaled = AlignedBuffer(count: values.count)
        for row in 0..<count {
            for d in 0..<width {
                let i = row * width + d
                scaled.pointer[i] = values.pointer[i] * scales[d] + offsets[d]
            }
        }
        var weights: [Double]?
        if balancesClasses {
            let counts = Dictionary(labels.map { ($0, 1) }, uniquingKeysWith: +)
            weights = labels.map { Double(count) / Double(counts.count * counts[$0]!) }
        }
        return FeatureRows(values: scaled, labels: labels, dimension: width, weights: weights)
    }
}
