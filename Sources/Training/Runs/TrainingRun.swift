import Files

/// A run from its first step to its last: epochs, validation, the files it leaves, and when to save.
package final class TrainingRun {
    package struct Files: Sendable, Equatable {
        /// What the run goes on from.
        package let state: String
        /// The best model so far, ready to be served.
        package let model: String
        /// One line an epoch.
        package let log: String
        /// Loss and accuracy, drawn.
        package let plot: String
        /// A sheet of images an epoch.
        package let samples: String

        package init(folder: String) {
            let prefix = folder.hasSuffix("/") ? folder : folder + "/"
            samples = prefix + "samples"
            state = prefix + "state.safetensors"
            model = prefix + "model.safetensors"
            log = prefix + "log.csv"
            plot = prefix + "progress.svg"
        }
    }

    enum Ending: Sendable {
        /// All epochs are done.
        case finished
        /// It was told to stop and has saved its state.
        case interrupted
    }

    /// How far a run is to go, and when it saves.
    struct Plan: Sendable, Equatable {
        let epochs: Int
        let batchesPerEpoch: Int
        /// Most time between two saves; an epoch's end saves too.
        let checkpointInterval: Duration
        /// Least time between two saves at the ends of epochs, since epochs of a few images may take less time than writing what they
        /// have learnt. The last epoch's end saves always, and so does one with the best score.
        var leastSaveInterval: Duration = .zero
    }

    /// What the code that runs it is asked and told.
    struct Observer {
        /// Time since some beginning.
        let now: () -> Duration
        /// Whether to save and stop; asked after every step and before every batch of validation.
        let isInterrupted: () -> Bool
        let stepped: (TrainingRecord, BatchOutcome) -> Void
        let epochEnded: (TrainingRecord.Epoch) -> Void
        /// The present weights are the best so far: to be written to the run's model file.
        let keepModel: (Trainer) throws -> Void
        /// Draws what the present weights make of noise at the end of the epoch of that number.
        var drawSamples: ((Trainer, _ epoch: Int) throws -> Void)?
    }

    let trainer: Trainer
    /// How a resumed run was computed before, if it was otherwise than now.
    private(set) var otherComputation: String?
    private let plan: Plan
    private let files: Files
    private let observer: Observer
    private let writesFiles: Bool
    private let stepLog: StepLog?
    private var lastSave: Duration
    /// The step after which the state was saved.
    private var savedStep = 0
    /// Epochs in the log.
    private var loggedEpochs = 0

    /// Prepares a run.
    ///
    /// - Parameters:
    ///   - resumes: whether to go on from the folder's state, which must be there, rather than begin, where none must be.
    ///     Log and plot are then written again, as a run may have been killed before it came to them.
    ///   - restartsSchedule: see `Trainer.resume`; the plan must then have epochs left.
    ///   - stepLog: the file that gets a line a step; nil for none. Of a run that goes on it keeps the lines of the steps
    ///     that the state holds; of a run that begins it must not be there.
    ///   - writesFiles: whether this process writes state, model and logs; of the ranks of a run, only the first does.
    /// - Throws: `TrainingError`, `CheckpointError` or `FileError`.
    init(
        _ trainer: Trainer, plan: Plan, files: Files, resumes: Bool, restartsSchedule: Bool = false,
        stepLog: String? = nil, writesFiles: Bool = true, observer: Observer
    ) throws {
        let stepLog = writesFiles ? stepLog : nil
        self.trainer = trainer
        self.plan = plan
        self.files = files
        self.observer = observer
        self.writesFiles = writesFiles
        lastSave = observer.now()
        try files.check(
            settings: trainer.settings, resumes: resumes, restartsSchedule: restartsSchedule, stepLog: stepLog)
        guard resumes else {
            self.stepLog = try stepLog.map { try StepLog(path: $0, keepingSteps: 0) }
            return
        }
        otherComputation = try trainer.resume(from: files.state, restartsSchedule: restartsSchedule)
        guard !restartsSchedule || trainer.record.epoch < plan.epochs else {
            throw TrainingError.nothingLeft(path: files.state, epochs: trainer.record.epoch)
        }
        guard trainer.record.sums.batches <= plan.batchesPerEpoch else {
            throw TrainingError.unusableState(path: files.state, problem: "its epochs are longer than this run's")
        }
        self.stepLog = try stepLog.map { try StepLog(path: $0, keepingSteps: trainer.record.step) }
        noteSave()
        try writeLog()
    }

    /// Runs to the end of the plan, or until it is interrupted.
    ///
    /// - Parameter nextBatch: gives the batches from the record's place on, in order.
    /// - Throws: `TrainingError.diverged`; `FileError` if a file can't be written, which then is as it was;
    ///   `DataSetError` if an image can't be used, all steps taken being saved.
    func run(nextBatch: () throws -> Batch) throws -> Ending {
        while trainer.record.epoch < plan.epochs {
            while trainer.record.sums.batches < plan.batchesPerEpoch {
                let start = observer.now()
                let next = try savingSteps(nextBatch)
                guard next.count > 0 else {
                    // All its images are damaged. It counts as taken, so that a resumed run begins behind it.
                    trainer.record.sums.batches += 1
                    continue
                }
                let outcome = try trainer.step(next)
                let seconds = (observer.now() - start) / .seconds(1)
                trainer.record.sums.seconds += seconds
                try log(outcome, images: next.count, seconds: seconds)
                observer.stepped(trainer.record, outcome)
                if observer.isInterrupted() {
                    try saveSteps()
                    return .interrupted
                }
                if observer.now() - lastSave >= plan.checkpointInterval { try save() }
            }
            guard try endEpoch(), !observer.isInterrupted() else {
                try saveSteps()
                return .interrupted
            }
        }
        return .finished
    }

    /// Runs `body`; where it fails, what was learnt so far is kept.
    private func savingSteps<R>(_ body: () throws -> R) throws -> R {
        do {
            return try body()
        } catch {
            try saveSteps()
            throw error
        }
    }

    /// Writes the step's line before any state holds the step.
    private func log(_ outcome: BatchOutcome, images: Int, seconds: Double) throws {
        guard let stepLog else { return }
        let line = StepLog.Line(
            step: trainer.record.step, epoch: trainer.record.epoch + 1, loss: outcome.loss, flowLoss: outcome.flowLoss,
            learningRate: trainer.schedule.rate(at: trainer.record.step - 1),
            gradientNorm: trainer.gradientNorm, images: images,
            imagesPerSecond: seconds > 0 ? Double(images) / seconds : nil)
        try savingSteps { try stepLog.append(line) }
    }

    /// Saves if a step has been taken since it was last done.
    private func saveSteps() throws {
        if trainer.record.step > savedStep { try save() }
    }

    private func save() throws {
        if writesFiles {
            try stepLog?.flush()
            try trainer.save(to: files.state)
        } else {
            try trainer.requireFinite()
        }
        noteSave()
        if trainer.record.history.count > loggedEpochs { try writeLog() }
    }

    private func writeLog() throws {
        guard writesFiles, !trainer.record.history.isEmpty else { return }
        try TrainingLog(trainer.record.history).write(to: files)
        loggedEpochs = trainer.record.history.count
    }

    private func noteSave() {
        lastSave = observer.now()
        savedStep = trainer.record.step
        let (step, path) = (trainer.record.step, files.state)
        trainer.lastGood =
            step == 0 ? "\(path) holds the state at the start of the run" : "\(path) holds the state after step \(step)"
    }

    /// Validates, draws samples, keeps the model if it is the best, and turns to the next epoch.
    ///
    /// The steps are saved before the model is written, since there is no model without a state to go on from. The model is written
    /// before the state that says so: a run that is killed in between makes the same model again. Without a score, the model is
    /// written where the state is saved.
    ///
    /// - Returns: false if validation or the drawing of samples was interrupted; a resumed run starts both again.
    private func endEpoch() throws -> Bool {
        let record = trainer.record
        var saves = record.epoch + 1 == plan.epochs || observer.now() - lastSave >= plan.leastSaveInterval
        if saves { try saveSteps() }
        var score: ValidationScore?
        do {
            try savingSteps {
                score = try trainer.validate { if observer.isInterrupted() { throw CancellationError() } }
                try observer.drawSamples?(trainer, record.epoch + 1)
            }
        } catch is CancellationError {
            return false
        }
        if let score, !(score.loss + (score.flowLoss ?? 0)).isFinite {
            throw trainer.diverged("the validation loss after the update", step: record.step)
        }
        let row = TrainingRecord.Epoch(
            epoch: record.epoch + 1, step: record.step,
            learningRate: trainer.schedule.rate(at: max(record.step - 1, 0)), loss: record.sums.meanLoss,
            top1: record.sums.top1, flowLoss: record.sums.meanFlowLoss, validation: score, seconds: record.sums.seconds,
            images: record.sums.images)
        let isBest = score.map { score in record.best.map { score.isBetter(than: $0) } ?? true } ?? true
        if isBest, score != nil { saves = true }
        if saves { try saveSteps() }
        if isBest, saves, writesFiles { try observer.keepModel(trainer) }
        trainer.record.epoch += 1
        trainer.record.sums = TrainingRecord.Sums()
        trainer.record.history.append(row)
        if isBest { trainer.record.best = score }
        if saves { try save() }
        observer.epochEnded(row)
        return true
    }
}

extension TrainingRun.Files {
    /// Checks that a run with these settings can begin here or, if it `resumes`, go on, before anything is computed for it.
    ///
    /// - Throws: `TrainingError`, `CheckpointError` or `FileError`.
    package func check(
        settings: TrainingSettings, resumes: Bool, restartsSchedule: Bool = false, stepLog: String? = nil
    ) throws {
        guard resumes else {
            // A model that is kept there would be lost at the end of the first epoch.
            let outputs = [(state, "--output"), (model, "--output")] + (stepLog.map { [($0, "--step-log")] } ?? [])
            for (path, option) in outputs where RegularFile.exists(path) {
                throw TrainingError.alreadyBegun(path: path, option: option)
            }
            return
        }
        guard RegularFile.exists(state) else { throw TrainingError.nothingToResume(path: state) }
        try TrainingState.Reader(path: state, access: .onDemand)
            .requireSettings(settings, restartsSchedule: restartsSchedule)
    }
}
