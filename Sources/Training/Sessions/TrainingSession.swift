import Console

/// Carries out a run in a terminal: progress, a line for each epoch, interruption by cancelling the task.
@MainActor
package struct TrainingSession {
    private let trainer: Trainer
    private let plan: TrainingRun.Plan
    private let imagesPerStep: Int

    /// Runs to the end, or until the task is cancelled.
    ///
    /// - Parameters:
    ///   - epochs: in all.
    ///   - checkpointInterval: the longest time between two saves.
    ///   - stepLog: the file that gets a line a step; nil for none.
    ///   - restartsSchedule: see ``Trainer/resume(from:restartsSchedule:)``.
    ///   - damage: tells of damaged images that are skipped.
    ///   - samples: the sheet that is drawn of each epoch's weights; nil for none.
    ///   - ranks: the processes of the run, of which the first writes its files; nil for one process.
    ///   - keepModel: writes the trainer's present weights as the run's model.
    /// - Returns: `success`, also if it was interrupted and saved.
    package static func run(
        _ trainer: Trainer, files: TrainingRun.Files, epochs: Int, feed: DataFeed, checkpointInterval: Duration,
        stepLog: String?, resumes: Bool, restartsSchedule: Bool, damage: DamageReport, samples: SampleSheet? = nil,
        ranks: Ranks? = nil, keepModel: @escaping (Trainer) throws -> Void
    ) throws -> ExitStatus {
        let plan = TrainingRun.Plan(
            epochs: epochs, batchesPerEpoch: feed.batchesPerEpoch, checkpointInterval: checkpointInterval,
            leastSaveInterval: min(checkpointInterval, .seconds(10)))
        let session = TrainingSession(trainer: trainer, plan: plan, imagesPerStep: feed.imagesPerBatch)
        let imagesPerStep = session.imagesPerStep
        let bar = ProgressBar("training", of: plan.epochs * plan.batchesPerEpoch * imagesPerStep)
        defer { bar.erase() }
        let observer = TrainingRun.Observer(
            now: { bar.elapsed },
            // All ranks stop at the same step.
            isInterrupted: { ranks?.any(Task.isCancelled) ?? Task.isCancelled },
            stepped: { record, outcome in
                damage.tellNew { bar.report($0) }
                bar.update(
                    record.step * imagesPerStep,
                    "epoch \(record.epoch + 1)/\(plan.epochs) step \(record.step) loss \(rounded(outcome.loss))"
                        + (outcome.flowLoss.map { " flow loss \(rounded($0))" } ?? ""))
            },
            epochEnded: { epoch in
                damage.tellNew { bar.report($0) }
                bar.report(session.line(epoch, elapsed: bar.elapsed / .seconds(1), since: bar.first))
            },
            keepModel: keepModel,
            drawSamples: samples.map { sheet in
                { trainer, epoch in
                    try firstRank(of: ranks) {
                        try sheet.write(trainer.weights, epoch: epoch, in: files.samples) {
                            try Task.checkCancellation()
                        }
                    }
                }
            })
        let run = try TrainingRun(
            trainer, plan: plan, files: files, resumes: resumes, restartsSchedule: restartsSchedule, stepLog: stepLog,
            writesFiles: ranks?.isFirst ?? true, observer: observer)
        try ranks?.requireAgreement(on: trainer.digest())
        let start = trainer.record
        bar.start(at: start.step * imagesPerStep)
        if resumes {
            bar.report("resuming after step \(start.step); \(start.epoch) of \(plan.epochs) epochs are done")
        }
        if restartsSchedule {
            bar.report(
                "the learning-rate schedule begins again after step \(start.step), for the "
                    + "\(plan.epochs * plan.batchesPerEpoch - start.step) steps left")
        }
        if let other = run.otherComputation {
            bar.report(
                "warning: the run was computed with \(other) and continues with \(start.computation); its numbers will "
                    + "differ in their last bits from those of a run that was never interrupted")
        }
        let stream = feed.batches(fromEpoch: start.epoch, index: start.sums.batches)
        let ending = try run.run { try stream.next() }
        damage.tellNew { bar.report($0) }
        if damage.count > 0 { bar.report("headwater: damaged images left out: \(damage.count)") }
        bar.erase()
        switch ending {
        case .finished:
            Terminal.print("\(files.model): \(session.bestText)")
        case .interrupted:
            Terminal.print("\(files.state): saved after step \(trainer.record.step); continue with --resume")
        }
        ranks?.leave()
        return .success
    }

    /// Runs `body` on the first rank alone; where it is interrupted there, the others are too.
    private static func firstRank(of ranks: Ranks?, _ body: () throws -> Void) throws {
        guard let ranks else { return try body() }
        var isInterrupted = false
        do {
            if ranks.isFirst { try body() }
        } catch is CancellationError {
            isInterrupted = true
        }
        if ranks.any(isInterrupted) { throw CancellationError() }
    }

    private var bestText: String {
        guard let best = trainer.record.best else { return "the model of the last epoch" }
        return "the best model, "
            + (best.top1.map { "validation top-1 \(Self.percent($0))" } ?? "validation loss \(Self.rounded(best.loss))")
    }

    private func line(_ epoch: TrainingRecord.Epoch, elapsed: Double, since first: Int) -> String {
        var facts = ["epoch \(epoch.epoch)/\(plan.epochs)", "loss \(Self.rounded(epoch.loss))"]
        if let top1 = epoch.top1 { facts.append("top-1 \(Self.percent(top1))") }
        if let flowLoss = epoch.flowLoss { facts.append("flow loss \(Self.rounded(flowLoss))") }
        if let validation = epoch.validation {
            facts.append("validation loss \(Self.rounded(validation.loss))")
            if let top1 = validation.top1 { facts.append("validation top-1 \(Self.percent(top1))") }
            if let flowLoss = validation.flowLoss { facts.append("validation flow loss \(Self.rounded(flowLoss))") }
        }
        if epoch.seconds > 0 {
            facts.append("\(Pace.rounded(Double(epoch.images) / epoch.seconds)) images/s")
        }
        let done = epoch.step * imagesPerStep
        let left = (plan.epochs - epoch.epoch) * plan.batchesPerEpoch * imagesPerStep
        if done > first {
            facts.append("\(Pace.clock(elapsed / Double(done - first) * Double(left))) left")
        }
        return facts.joined(separator: ", ")
    }

    private static func rounded(_ value: Double) -> String {
        let scale = abs(value) < 100 ? 10_000.0 : 100
        return "\((value * scale).rounded() / scale)"
    }

    private static func percent(_ fraction: Double) -> String { "\((fraction * 10_000).rounded() / 100) %" }
}
