import Console
import Machine
import Tensor

/// What a training run would do and take, found out by a few of its steps on real images.
struct TrainingForecast {
    /// Seconds that parts of a run take.
    struct Times: Equatable {
        let step: Double
        /// Of making a step's batch, which happens while another step is taken.
        let batch: Double
        /// Of one validation; 0 without.
        let validation: Double
        /// Of one sheet of samples; 0 without.
        var samples = 0.0
    }

    let trainingImages: Int
    let validationImages: Int
    /// Those of the flow's loss; nil if they are the same, or if there is no such loss.
    var flowImages: Int?
    /// Names of the classes; none in pretraining.
    let classes: [String]
    let imagesPerStep: Int
    let stepsPerEpoch: Int
    let epochs: Int
    /// Steps that the state to go on from has taken.
    let stepsDone: Int

    func seconds(_ times: Times) -> Double {
        let steps = Double(max(stepsPerEpoch * epochs - stepsDone, 0))
        let epochsLeft = Double(max(epochs - stepsDone / stepsPerEpoch, 0))
        return steps * max(times.step, times.batch) + epochsLeft * (times.validation + times.samples)
    }

    /// What is printed.
    ///
    /// - Parameter bytes: the most memory that the run will hold.
    func text(_ times: Times, bytes: Int, budget: MemoryBudget?) -> String {
        var lines = [
            "images: \(trainingImages) to train on, \(validationImages) to validate on"
                + (flowImages.map { ", \($0) for the loss of the flow" } ?? "")
        ]
        if !classes.isEmpty { lines.append(Self.text(ofClasses: classes)) }
        lines.append(
            "steps: \(stepsPerEpoch * epochs) in \(epochs) epoch\(epochs == 1 ? "" : "s") of \(stepsPerEpoch), "
                + "each of \(imagesPerStep) images"
                + (stepsDone > 0 ? "; \(stepsDone) are done" : ""))
        var parts = ["\(Self.rounded(times.step)) s per step"]
        if times.batch > times.step { parts.append("\(Self.rounded(times.batch)) s to read and decode its images") }
        if times.validation > 0 { parts.append("\(Self.rounded(times.validation)) s per validation") }
        if times.samples > 0 { parts.append("\(Self.rounded(times.samples)) s per sheet of samples") }
        lines.append("time: about \(Pace.clock(seconds(times))) (measured: \(parts.joined(separator: ", ")))")
        return (lines + Self.ending(bytes: bytes, budget: budget)).joined(separator: "\n")
    }

    /// The last lines of what is printed.
    static func ending(bytes: Int, budget: MemoryBudget?) -> [String] {
        let left = budget.map { "; \($0.availableBytes >> 20) MiB are left (\($0.bound))" } ?? ""
        return [
            "memory: about \(bytes >> 20) MiB at most\(left)",
            "nothing was written; to start, repeat the command without --dry-run",
        ]
    }

    /// How many classes there are, and the first ones' names.
    static func text(ofClasses classes: [String]) -> String {
        let first = classes.prefix(12).joined(separator: ", ")
        return "classes: \(classes.count) (\(first)\(classes.count > 12 ? ", …" : ""))"
    }

    private static func rounded(_ seconds: Double) -> String {
        let scale = seconds < 10 ? 1000.0 : 10
        return "\((seconds * scale).rounded() / scale)"
    }
}

/// Measures, by a few steps in memory, what a run would take.
@MainActor
package enum TrainingRehearsal {
    private static let clock = ContinuousClock()
    /// Steps beyond the first, which is not timed.
    private static let steps = 3

    /// Measures and prints what a run would take.
    ///
    /// - Parameters:
    ///   - feed: what is trained on.
    ///   - epochs: in all.
    ///   - resumes: whether the run is to continue from the state in `files`.
    ///   - samples: the sheet that is to be drawn of each epoch's weights; nil for none.
    package static func run(
        _ trainer: Trainer, data: TrainingData, feed: DataFeed, epochs: Int, files: TrainingRun.Files, resumes: Bool,
        samples: SampleSheet? = nil
    ) throws -> ExitStatus {
        let stepsDone =
            resumes
            ? try TrainingState.Reader(path: files.state, access: .onDemand).record.step : 0
        let held = data.split.validation?.count ?? 0
        let forecast = TrainingForecast(
            trainingImages: data.split.training.count, validationImages: held,
            flowImages: data.flowImages?.items.count, classes: data.images.classes,
            imagesPerStep: feed.imagesPerBatch, stepsPerEpoch: feed.batchesPerEpoch, epochs: epochs,
            stepsDone: stepsDone)
        // A batch at a time on this thread: what a stream has ready would hide how long it takes to make one.
        var times = try times(
            trainer, batch: { index in try feed.batch(epoch: 0, index: index) },
            batchesPerEpoch: feed.batchesPerEpoch, validationBatches: (held + 127) / 128)
        times.samples = try samples.map { try seconds(of: $0, trainer) } ?? 0
        data.damageReport.tellNew { Terminal.report($0) }
        let budget = MemoryBudget.now()
        let bytes = ProcessMemory.peakResidentBytes() + feed.expectedBytes
        Terminal.print(forecast.text(times, bytes: bytes, budget: budget))
        return .success
    }

    /// Takes a few steps in memory and one or two batches of validation.
    ///
    /// - Parameters:
    ///   - batch: makes the batch of that index.
    ///   - validationBatches: of a whole validation; 0 for none.
    static func times(
        _ trainer: Trainer, batch: (Int) throws -> Batch, batchesPerEpoch: Int, validationBatches: Int
    ) throws -> TrainingForecast.Times {
        var (steps, batches): ([Double], [Double]) = ([], [])
        for index in 0..<min(Self.steps + 1, max(batchesPerEpoch, 2)) {
            try Task.checkCancellation()
            let start = clock.now
            let next = try batch(index % batchesPerEpoch)
            let made = clock.now
            guard next.count > 0 else { continue }
            _ = try trainer.step(next)
            batches.append(start.duration(to: made) / .seconds(1))
            steps.append(made.duration(to: clock.now) / .seconds(1))
        }
        guard !steps.isEmpty else {
            throw CommandFailure(.unusableData, "all images of the first batches are damaged")
        }
        func mean(_ values: [Double]) -> Double {
            let timed = values.count > 1 ? values.dropFirst() : values[...]
            return timed.reduce(0, +) / Double(timed.count)
        }
        return TrainingForecast.Times(
            step: mean(steps), batch: mean(batches),
            validation: validationBatches > 0 ? try validation(trainer, batches: validationBatches) : 0)
    }

    /// Seconds of a whole sheet, by its first steps.
    private static func seconds(of sheet: SampleSheet, _ trainer: Trainer) throws -> Double {
        var begun: [ContinuousClock.Instant] = []
        do {
            _ = try sheet.draw(trainer.weights) {
                begun.append(clock.now)
                if begun.count > Self.steps { throw CancellationError() }
            }
        } catch is CancellationError {
            try Task.checkCancellation()
        }
        let timed = begun.count > 1 ? begun.count - 1 : 1
        return begun[0].duration(to: begun.count > 1 ? begun.last! : clock.now) / .seconds(1) / Double(timed)
            * Double(sheet.evaluations)
    }

    /// Seconds of a whole validation, by its first batches.
    private static func validation(_ trainer: Trainer, batches: Int) throws -> Double {
        let sample = min(batches, 2)
        var begun = 0
        let start = clock.now
        do {
            _ = try trainer.learner.validate {
                guard begun < sample else { throw CancellationError() }
                begun += 1
            }
        } catch is CancellationError {
            try Task.checkCancellation()
        }
        return start.duration(to: clock.now) / .seconds(1) * Double(batches) / Double(sample)
    }
}
