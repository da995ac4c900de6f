import Differentiation
import Digests
import Tensor

/// Improves a learner batch by batch: gradients, optimizer step, average of weights, and the record of it all.
///
/// With the same number of workers, or the same division of batches, the same batches from the same state give the same bits. Not for use by two threads at
/// a time.
package final class Trainer {
    package let learner: any Learner
    package let settings: TrainingSettings
    package internal(set) var record: TrainingRecord
    /// The norm of the last step's gradient before it was clipped; 0 before the first step.
    package private(set) var gradientNorm = 0.0
    private(set) var schedule: LearningRateSchedule
    private let optimizer: AdamW
    private let clip: Double?
    private let average: ExponentialMovingAverage?
    private let pool: WorkerPool
    /// Nil if batches aren't divided.
    private let dividedGradient: DividedGradient?

    /// Begins a run with the learner's present values.
    ///
    /// - Parameters:
    ///   - settings: what the numbers depend on, with a recipe.
    ///   - computation: what their last bits depend on as well.
    ///   - options: see `TrainingRecord`.
    ///   - division: how each batch is divided, with a learner whose gradients don't depend on the number of workers; nil if it
    ///     isn't.
    package init(
        _ learner: any Learner, settings: TrainingSettings, batchesPerEpoch: Int, computation: String,
        options: [String: String]? = nil, division: BatchDivision? = nil, pool: WorkerPool
    ) {
        let recipe = settings.recipe!
        self.learner = learner
        self.settings = settings
        self.pool = pool
        dividedGradient = division.map { DividedGradient($0, store: learner.store) }
        schedule = LearningRateSchedule(
            recipe, floor: settings.fineTuning?.learning?.finalLearningRate ?? 0, batchesPerEpoch: batchesPerEpoch)
        record = TrainingRecord(settings: settings, computation: computation, options: options)
        optimizer = AdamW(
            learner.store, ranges: learner.reached, settings: AdamW.Settings(weightDecay: recipe.weightDecay),
            pool: pool)
        clip = recipe.clip
        average =
            recipe.averageDecay > 0
            ? ExponentialMovingAverage(
                learner.store, decay: recipe.averageDecay, forgetsBeginning: settings.pretraining?.model == nil,
                pool: pool) : nil
        learner.valuesChanged()
    }

    /// Goes on where a state file stands.
    ///
    /// - Parameter restartsSchedule: whether the learning-rate schedule begins again there. It then spans the steps that are
    ///   left. Everything else continues, including the optimizer's moments and the average of weights.
    /// - Returns: how the run was computed before, if that differs; its last bits then differ too.
    /// - Throws: `TrainingError.otherRun` if it was written under other settings, `CheckpointError` or
    ///   `TrainingError.unusableState` if it can't be used.
    package func resume(from path: String, restartsSchedule: Bool = false) throws -> String? {
        let reader = try TrainingState.Reader(path: path)
        try reader.requireSettings(settings, restartsSchedule: restartsSchedule)
        try reader.restore(optimizer, average: average, store: learner.store)
        let (before, now) = (reader.record.computation, record.computation)
        let options = record.options
        record = reader.record
        record.formatVersion = TrainingRecord.currentFormatVersion
        (record.settings, record.computation, record.options) = (.settings(settings), now, options)
        if restartsSchedule { record.scheduleStart = record.step }
        schedule.start = record.scheduleStart ?? 0
        learner.valuesChanged()
        return before == now ? nil : before
    }

    /// Writes the state; what is at `path` is replaced only once everything is on the disk.
    ///
    /// - Throws: `TrainingError.diverged` if a weight, moment or average isn't finite, which `resume` would refuse: squares of
    ///   gradients may be too large for their type where gradients aren't. `FileError` if it can't be written.
    package func save(to path: String) throws {
        try requireFinite()
        try TrainingState.write(record, optimizer, average: average, store: learner.store, to: path)
    }

    /// Checks that the state is one that `resume` accepts.
    ///
    /// - Throws: `TrainingError.diverged`.
    func requireFinite() throws(TrainingError) {
        if let part = TrainingState.nonFinitePart(optimizer, average: average, store: learner.store) {
            throw diverged("\(part) after the update", step: record.step)
        }
    }

    /// A digest of what the numbers of the next steps follow from, except the batches' images.
    func digest() -> SHA256.Digest {
        var hash = SHA256()
        for (name, value) in record.settings.descriptions.sorted(by: { $0.key < $1.key }) {
            hash.update(Array("\(name)=\(value)\n".utf8))
        }
        hash.update(Array("\(record.computation), step \(record.step)".utf8))
        let store = learner.store
        hash.update(UnsafeRawBufferPointer(UnsafeBufferPointer(start: store.values, count: store.count)))
        return hash.finalize()
    }

    /// Takes a step on a batch of at least one image.
    ///
    /// - Returns: the batch's outcome before it.
    /// - Throws: `TrainingError.diverged`, the weights being as they were.
    package func step(_ batch: Batch) throws(TrainingError) -> BatchOutcome {
        let outcome =
            dividedGradient?.differentiate(batch, by: learner, step: record.step)
            ?? learner.differentiate(batch, step: record.step)
        guard (outcome.loss + (outcome.flowLoss ?? 0)).isFinite else {
            throw diverged("the loss", step: record.step + 1)
        }
        let norm = learner.store.gradientNorm(pool: pool)
        guard norm.isFinite else { throw diverged("the gradient", step: record.step + 1) }
        gradientNorm = norm
        let scale = clip.map { norm > $0 ? $0 / norm : 1 } ?? 1
        optimizer.step(learningRate: schedule.rate(at: record.step), gradientScale: scale)
        learner.valuesChanged()
        record.step += 1
        average?.update(step: record.step)
        record.sums.add(outcome, images: batch.count)
        return outcome
    }

    /// The score of the weights that would be kept; nil if there is nothing to judge them by.
    ///
    /// - Throws: what the learner's validation throws, the trainer being as it was.
    func validate(beforeEachBatch: () throws -> Void) throws -> ValidationScore? {
        guard let average else { return try learner.validate(beforeEachBatch: beforeEachBatch) }
        average.exchange()
        learner.valuesChanged()
        defer {
            average.exchange()
            learner.valuesChanged()
        }
        return try learner.validate(beforeEachBatch: beforeEachBatch)
    }

    /// The weights to keep of a parameter: the average if there is one.
    package func weights(_ key: String) -> [Float] {
        learner.store.numbers(of: key, in: average?.values ?? learner.store.values)
    }

    /// Where the last good state is; set by the code that saves it.
    var lastGood = "no state has been saved yet"

    func diverged(_ what: String, step: Int) -> TrainingError {
        .diverged(step: step, epoch: record.epoch + 1, what: what, lastGood: lastGood)
    }
}

extension TrainingRecord.Sums {
    mutating func add(_ outcome: BatchOutcome, images count: Int) {
        batches += 1
        images += count
        loss += outcome.loss * Double(count)
        if let flowLoss = outcome.flowLoss { self.flowLoss = (self.flowLoss ?? 0) + flowLoss * Double(count) }
        if let correct = outcome.correct { self.correct = (self.correct ?? 0) + correct }
    }

    package var meanLoss: Double { images > 0 ? loss / Double(images) : 0 }

    /// The mean loss of the flow; nil where it isn't learnt in addition to classes.
    package var meanFlowLoss: Double? { images > 0 ? flowLoss.map { $0 / Double(images) } : nil }

    /// The fraction of images whose class was found.
    package var top1: Double? { images > 0 ? correct.map { Double($0) / Double(images) } : nil }
}
