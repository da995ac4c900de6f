import CheckpointFormats
import Console
import Files
import FlowModel
import Machine
import ReverseODE
import Tensor

/// Fine-tuning of a head alone: every image goes upstream once, and the head is solved for on what it reads.
///
/// The features are what takes the time, so the state file holds them and `--resume` goes on with them.
@MainActor
package struct HeadTraining {
    private let source: FineTuningSource
    private let files: TrainingRun.Files
    private let settings: TrainingSettings
    private let record: TrainingRecord
    private let penalties: [Double]
    private let balancesClasses: Bool
    private let type: ElementType
    private let checkpointInterval: Duration
    private let writeModel: (@escaping (String) throws -> [Float]) throws -> Void

    /// - Parameters:
    ///   - settings: what the features depend on.
    ///   - computation: what their last bits depend on as well.
    ///   - options: see `TrainingRecord`.
    ///   - penalty: the head's; nil to choose it by the images held back.
    ///   - balancesClasses: whether every class has the same weight.
    ///   - type: how the model's weights will be stored.
    ///   - checkpointInterval: the longest time between two saves.
    ///   - writeModel: writes the model, given what returns a tensor's weights by its key in a model file.
    package init(
        _ source: FineTuningSource, files: TrainingRun.Files, settings: TrainingSettings, computation: String,
        options: [String: String], penalty: Double?, balancesClasses: Bool, type: ElementType,
        checkpointInterval: Duration, writeModel: @escaping (@escaping (String) throws -> [Float]) throws -> Void
    ) {
        self.source = source
        self.files = files
        self.settings = settings
        record = TrainingRecord(settings: settings, computation: computation, options: options)
        let choices =
            source.data.split.validation == nil
            ? [LinearHead.defaultPenalty(images: source.data.split.training.count)] : LinearHead.penalties
        penalties = penalty.map { [$0] } ?? choices
        self.balancesClasses = balancesClasses
        self.type = type
        self.checkpointInterval = checkpointInterval
        self.writeModel = writeModel
    }

    /// Features of a part of the data, and the name that the state file has for them.
    private typealias Part = (name: String, features: HeadFeatures)

    /// Images whose features a rehearsal computes.
    private static let rehearsed = 64

    /// The parts of the data, and their names in the state file.
    private var subsets: [(name: String, images: LabelledSubset)] {
        [("training", source.data.split.training)] + (source.data.split.validation.map { [("validation", $0)] } ?? [])
    }

    private func width() throws -> Int {
        let configuration = source.tuned.configuration
        return configuration.head!.inputWidth(on: try configuration.network())
    }

    /// Runs to the end, or until the task is cancelled.
    package func run(resumes: Bool) throws -> ExitStatus {
        try files.check(settings: settings, resumes: resumes)
        for note in source.tuned.notes { Terminal.report(note) }
        let width = try width()
        let parts: [Part] = subsets.map { ($0.name, HeadFeatures(labels: $0.images.labels, width: width)) }
        let remembered = resumes ? try restore(parts) : nil
        guard try compute(parts) else { return .success }
        let damaged = parts.reduce(0) { $0 + $1.features.done - $1.features.count }
        if damaged > 0 { Terminal.report("headwater: damaged images left out: \(damaged)") }
        guard parts.allSatisfy({ $0.features.count > 0 }) else {
            throw CommandFailure(.unusableData, "none of the images could be used")
        }
        let head: LinearHead
        do {
            head = try solve(parts)
        } catch is CancellationError {
            Terminal.print("\(files.state): has all features; solve for the head with --resume")
            return .success
        }
        try write(head)
        var log = try AtomicFile(path: files.log)
        try log.write(Array(head.csv.utf8))
        try log.commit()
        if let remembered, remembered != record.options {
            try TrainingState.write(record, features: parts, to: files.state)
        }
        Terminal.print("\(files.model): \(summary(head))")
        return .success
    }

    /// Says what a run would take, by the features of a few images. Nothing is written.
    package func rehearse(resumes: Bool) throws -> ExitStatus {
        try files.check(settings: settings, resumes: resumes)
        for note in source.tuned.notes { Terminal.report(note) }
        let (images, width) = (subsets.map(\.images.count), try width())
        let total = images.reduce(0, +)
        let done = resumes ? try TrainingState.Reader(path: files.state, access: .onDemand).record.featuresDone : nil
        let doneCount = done?.values.reduce(0, +) ?? 0
        let sample = subsets[0].images.prefix(Self.rehearsed)
        let model = try model()
        let clock = ContinuousClock()
        let start = clock.now
        try HeadFeatures(labels: sample.labels, width: width).compute(
            source.data.wholeFeed(sample, source.preprocessing), model: model, kernels: source.computation.kernels,
            pool: source.computation.pool
        ) { _ in try Task.checkCancellation() }
        let seconds = start.duration(to: clock.now) / .seconds(1) / Double(sample.count)
        source.data.damageReport.tellNew { Terminal.report($0) }
        // The features, and the same scaled.
        let bytes = ProcessMemory.peakResidentBytes() + 2 * 4 * width * total
        let lines = [
            "images: \(images[0]) to train on, \(total - images[0]) to validate on"
                + (doneCount > 0 ? "; the features of \(doneCount) are done" : ""),
            TrainingForecast.text(ofClasses: source.data.images.classes),
            "time: about \(Pace.clock(seconds * Double(total - doneCount))) (measured: "
                + "\((seconds * 1e4).rounded() / 10) ms to read an image and compute its features), and seconds to solve "
                + "for the head",
        ]
        Terminal.print((lines + TrainingForecast.ending(bytes: bytes, budget: .now())).joined(separator: "\n"))
        return .success
    }

    /// Takes the features over that the state holds.
    ///
    /// - Returns: the options that the run was given.
    private func restore(_ parts: [Part]) throws -> [String: String]? {
        let reader = try TrainingState.Reader(path: files.state)
        for part in parts { try reader.restore(part.features, name: part.name) }
        let done = parts.reduce(0) { $0 + $1.features.done }
        Terminal.report("resuming after the features of \(done) images")
        if reader.record.computation != record.computation {
            Terminal.report(
                "warning: these were computed with \(reader.record.computation), and the rest will be with "
                    + "\(record.computation); the last bits may differ")
        }
        return reader.record.options
    }

    /// Computes the features that aren't done and saves them.
    ///
    /// - Returns: false if the task was cancelled; all that was done is then saved.
    private func compute(_ parts: [Part]) throws -> Bool {
        func count() -> Int { parts.reduce(0) { $0 + $1.features.done } }
        let total = parts.reduce(0) { $0 + $1.features.total }
        guard count() < total else { return true }
        let model = try model()
        let bar = ProgressBar("computing features", of: total)
        defer { bar.erase() }
        bar.start(at: count())
        var lastSave = bar.elapsed
        func save() throws {
            try TrainingState.write(record, features: parts, to: files.state)
            lastSave = bar.elapsed
        }
        do {
            for (part, subset) in zip(parts, subsets) {
                let feed = source.data.wholeFeed(subset.images, source.preprocessing)
                try part.features.compute(
                    feed, model: model, kernels: source.computation.kernels, pool: source.computation.pool
                ) { _ in
                    source.data.damageReport.tellNew { bar.report($0) }
                    bar.update(count())
                    try Task.checkCancellation()
                    if bar.elapsed - lastSave >= checkpointInterval { try save() }
                }
            }
            try save()
            return true
        } catch is CancellationError {
            try save()
            bar.erase()
            Terminal.print(
                "\(files.state): saved the features of \(count()) of \(total) images; continue with --resume")
            return false
        } catch let error as DataSetError {
            if count() > 0 { try save() }
            throw error
        }
    }

    /// The model, with a head of zeros: the features are read before the head.
    private func model() throws -> ReversibleModel {
        let (configuration, base) = (source.tuned.configuration, source.base)
        let network = try configuration.network()
        let zeros = Dictionary(
            uniqueKeysWithValues: configuration.head!.parameters(on: network).map { ($0.key, $0.count) })
        return try ReversibleModel(
            configuration: configuration, kernels: source.computation.kernels, pool: source.computation.pool
        ) { key in
            if let count = zeros[ModelFile.parameter(ofKey: key)] { return [Float](repeating: 0, count: count) }
            return try base.tensor(key)
        }
    }

    private func solve(_ parts: [Part]) throws -> LinearHead {
        let bar = ProgressBar(
            "solving for the head", of: penalties.count * LogisticRegression.iterationLimit, unit: "iterations")
        defer { bar.erase() }
        var before = 0
        var penalty: Double?
        var last = 0
        return try LinearHead(
            parts[0].features, validation: parts.count > 1 ? parts[1].features : nil,
            classes: source.tuned.configuration.head!.classes, penalties: penalties,
            balancesClasses: balancesClasses, storing: type, on: source.computation.pool
        ) { current, iterations in
            try Task.checkCancellation()
            if penalty != current { (penalty, before) = (current, before + last) }
            last = iterations
            bar.update(before + iterations)
        }
    }

    private func write(_ head: LinearHead) throws {
        let base = source.base
        try writeModel { key in try head.weights(ModelFile.parameter(ofKey: key)) ?? base.tensor(key) }
    }

    private func summary(_ head: LinearHead) -> String {
        func percent(_ score: ValidationScore) -> String { "\((score.top1! * 10_000).rounded() / 100) %" }
        let penalty = (head.best.penalty * 1e6).rounded() / 1e6
        let chosen =
            penalties.count > 1
            ? "the best of \(penalties.count) penalties, \(penalty)" : "penalty \(penalty)"
        return "a linear head, \(chosen), top-1 \(percent(head.best.training))"
            + (head.best.validation.map { ", validation top-1 \(percent($0))" } ?? "")
    }
}
