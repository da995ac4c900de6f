import Augmentation
import CheckpointFormats
import Differentiation
import Files
import FlowModel
import Foundation
import ImagePipeline
import Networks
import Tensor
import TestFixtures
import Testing

@testable import Training

/// Runs of the smallest network on images that are made up.
struct SmallRun {
    static let architecture = UNetArchitecture(
        modelChannels: 32, residualBlocks: 1, channelMultipliers: [1], attentionDownsampling: [], heads: 2,
        imageSize: 16)
    static let batchesPerEpoch = 3

    let trainer: Trainer
    let files: TrainingRun.Files

    init(
        in folder: URL, head: Bool = false, coupling: ProbabilityPath = .otcfm, seed: UInt64 = 1, rate: Double = 2e-3,
        average: Double? = 0.9, steps: Int = 100, workers: Int = 2, validation: DataFeed? = nil
    ) throws {
        let pool = WorkerPool(count: workers)
        files = TrainingRun.Files(folder: folder.path)
        let learner: any Learner
        if head {
            let configuration = ModelConfiguration(
                name: "small", architecture: Self.architecture,
                head: HeadConfiguration(pooledSize: 4, hiddenWidth: 8, classes: 2), path: .icfm,
                grid: TimeGridConfiguration(count: 3), preprocessing: .reference(imageSize: 16))
            let tuning = try FineTuningLearner(
                configuration, smoothing: 0.1, capacity: 4, validation: validation, kernels: .best, pool: pool)
            WeightInitialization.initialize(tuning.store, seed: seed)
            learner = tuning
        } else {
            learner = PretrainingLearner(
                try Self.architecture.program(), coupling: coupling, seed: seed, capacity: 4,
                validation: validation, kernels: .best, pool: pool)
        }
        trainer = Trainer(
            learner,
            recipe: Trainer.Recipe(
                schedule: LearningRateSchedule(peak: rate, warmUpSteps: 0, totalSteps: steps, shape: .cosine),
                optimizer: AdamW.Settings(weightDecay: 0.05), clip: 10, averageDecay: average),
            settings: Self.settings(seed: seed, rate: rate, steps: steps),
            computation: "\(workers) workers",
            pool: pool)
    }

    private static func settings(seed: UInt64, rate: Double, steps: Int) -> TrainingSettings {
        TrainingSettings(
            recipe: TrainingSettings.Recipe(
                batchSize: 8, learningRate: rate, warmUpEpochs: 0, schedule: .cosine, weightDecay: 0.05,
                averageDecay: 0, clip: 10, seed: Int(seed), epochs: steps, augmentation: AugmentationPolicy()))
    }

    /// Images that are darker or lighter, which their labels say.
    static func batch(_ epoch: Int, _ index: Int) -> Batch {
        var generator = SeededGenerator(seed: UInt64(1 + index))
        let labels = (0..<8).map { $0 % 2 }
        let pixels = labels.flatMap { label in
            generator.floats(3 * 16 * 16).map { 0.5 * $0 + Float(label) - 0.5 }
        }
        return Batch(epoch: epoch, index: index, pixels: pixels, labels: labels)
    }

    /// Six pictures of each of two classes in three batches, to validate on.
    static func pictures(in folder: URL) throws -> DataFeed {
        var generator = SeededGenerator(seed: 9)
        for (name, level) in [("dark", Float(60)), ("light", 160)] {
            let place = folder.appending(path: name)
            try FileManager.default.createDirectory(at: place, withIntermediateDirectories: true)
            for index in 0..<6 {
                let pixels = generator.floats(3 * 16 * 16).map { UInt8(level + 40 * $0) }
                let picture = RGBImage(width: 16, height: 16, pixels: pixels)
                try Data(picture.png()).write(to: place.appending(path: "\(index).png"))
            }
        }
        var configuration = DataFeed.Configuration(batchSize: 4, seed: 0)
        configuration.shuffles = false
        configuration.remainder = .kept
        return DataFeed(
            LabelledSubset(try LabelledImages(at: folder.path)), preprocessing: try preprocessing(), configuration)
    }

    static func preprocessing() throws -> Preprocessing {
        try Preprocessing(
            resizeShorterSide: 16, cropSize: 16, mean: [0.5, 0.5, 0.5], standardDeviation: [0.5, 0.5, 0.5])
    }

    /// Runs, asking `isInterrupted` with the steps taken after every one of them and before every batch of validation.
    @discardableResult
    func run(
        epochs: Int, resumes: Bool = false, restartsSchedule: Bool = false, interval: Duration = .seconds(3600),
        now: @escaping () -> Duration = { .zero },
        stepLog: String? = nil, batch: (Int, Int) throws -> Batch = { batch($0, $1) },
        keepModel: @escaping (Trainer) throws -> Void = { _ in },
        isInterrupted: @escaping (Int) -> Bool = { _ in false }
    ) throws -> TrainingRun.Ending {
        let trainer = trainer
        let observer = TrainingRun.Observer(
            now: now, isInterrupted: { isInterrupted(trainer.record.step) }, stepped: { _, _ in }, epochEnded: { _ in },
            keepModel: keepModel)
        let plan = TrainingRun.Plan(
            epochs: epochs, batchesPerEpoch: Self.batchesPerEpoch, checkpointInterval: interval)
        let run = try TrainingRun(
            trainer, plan: plan, files: files, resumes: resumes, restartsSchedule: restartsSchedule, stepLog: stepLog,
            observer: observer)
        return try run.run {
            try batch(trainer.record.epoch, trainer.record.sums.batches)
        }
    }

    /// Weights, and what would be kept.
    var weights: [Float] {
        let store = trainer.learner.store
        return Array(UnsafeBufferPointer(start: store.values, count: store.count))
            + store.shapes.flatMap { trainer.weights($0.key) }
    }
}

/// A learner of three numbers whose gradients it is told.
private final class ToldLearner: Learner {
    let store = ParameterStore(shapes: [ParameterShape(key: "weight", shape: [3])])
    var gradient: Float = 1

    func valuesChanged() {}

    func differentiate(_ batch: Batch, step: Int) -> BatchOutcome {
        store.gradients.update(repeating: gradient, count: store.count)
        return BatchOutcome(loss: 1)
    }

    func validate(beforeEachBatch: () throws -> Void) -> ValidationScore? { nil }
}

@Suite("A training run")
struct TrainingRunTests {
    @Test("that is interrupted and resumed gives bit for bit what one that wasn't gives", arguments: [false, true])
    func resumes(head: Bool) throws {
        try withTemporaryFolder { folder in
            let (whole, parts) = (folder.appending(path: "whole"), folder.appending(path: "parts"))
            for path in [whole, parts] {
                try FileManager.default.createDirectory(at: path, withIntermediateDirectories: true)
            }
            let straight = try SmallRun(in: whole, head: head)
            #expect(try straight.run(epochs: 3) == .finished)
            // In the middle of an epoch, at the end of one, and not at all.
            for stop in [2, 6, 100] {
                let part = try SmallRun(in: parts, head: head)
                let ending = try part.run(epochs: 3, resumes: stop > 2, isInterrupted: { $0 == stop })
                #expect(ending == (stop == 100 ? .finished : .interrupted))
                #expect(part.trainer.record.step == min(stop, 9))
                if stop == 100 {
                    #expect(part.weights == straight.weights)
                    #expect(part.trainer.record == straight.trainer.record)
                }
            }
            func bytes(_ folder: URL, _ name: String) throws -> Data {
                try Data(contentsOf: folder.appending(path: name))
            }
            for name in ["state.safetensors", "log.csv", "progress.svg"] {
                #expect(try bytes(whole, name) == bytes(parts, name), "\(name)")
            }
            let again = try SmallRun(in: folder, head: head)
            try again.run(epochs: 3)
            #expect(again.weights == straight.weights)
        }
    }

    @Test(
        "interrupted in validation ends without it, and resumed validates again to the same bits",
        arguments: [false, true])
    func interruptedValidation(head: Bool) throws {
        try withTemporaryFolder { folder in
            let validation = try SmallRun.pictures(in: folder.appending(path: "pictures"))
            let (whole, parts) = (folder.appending(path: "whole"), folder.appending(path: "parts"))
            for path in [whole, parts] {
                try FileManager.default.createDirectory(at: path, withIntermediateDirectories: true)
            }
            let straight = try SmallRun(in: whole, head: head, validation: validation)
            #expect(try straight.run(epochs: 2) == .finished)
            // Three steps, and one of three batches of validation.
            var asked = 0
            let part = try SmallRun(in: parts, head: head, validation: validation)
            let ending = try part.run(
                epochs: 2, keepModel: { _ in Issue.record("a model that was not judged is kept") },
                isInterrupted: { _ in
                    asked += 1
                    return asked == 5
                })
            #expect(ending == .interrupted && part.trainer.record.step == 3 && part.trainer.record.history.isEmpty)
            let resumed = try SmallRun(in: parts, head: head, validation: validation)
            #expect(try resumed.run(epochs: 2, resumes: true) == .finished)
            #expect(resumed.weights == straight.weights)
            #expect(resumed.trainer.record == straight.trainer.record)
            #expect(resumed.trainer.record.history.allSatisfy { $0.validation != nil })
        }
    }

    @Test("logs every step once, though it was killed behind its last state, in a step's line or not")
    func stepLog() throws {
        try withTemporaryFolder { folder in
            func lines(_ path: String) throws -> [StepLog.Line] {
                try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map {
                    try JSONDecoder().decode(StepLog.Line.self, from: Data($0.utf8))
                }
            }
            let (whole, parts) = (folder.appending(path: "whole"), folder.appending(path: "parts"))
            for path in [whole, parts] {
                try FileManager.default.createDirectory(at: path, withIntermediateDirectories: true)
            }
            let (straightLog, log) = (whole.appending(path: "steps").path, parts.appending(path: "steps").path)
            try SmallRun(in: whole).run(epochs: 3, stepLog: straightLog)
            let straight = try lines(straightLog)
            #expect(straight.map(\.step) == Array(1...9) && straight.map(\.epoch) == [1, 1, 1, 2, 2, 2, 3, 3, 3])
            #expect(straight.allSatisfy { $0.gradientNorm > 0 && $0.learningRate > 0 && $0.images == 8 })

            try SmallRun(in: parts).run(epochs: 3, stepLog: log, isInterrupted: { $0 == 4 })
            let saved = try Data(contentsOf: URL(filePath: log))
            for behind in ["", #"{"epoch":2,"images":8,"learni"#, String(decoding: saved.suffix(1), as: UTF8.self)] {
                let lost = try Data(JSONEncoder().encode(straight[4])) + Data("\n".utf8)
                try (saved + (behind.isEmpty ? Data() : lost) + Data(behind.utf8)).write(to: URL(filePath: log))
                guard behind != "\n" else { continue }
                let copy = folder.appending(path: "copy-\(behind.count)")
                try FileManager.default.copyItem(at: parts, to: copy)
                let path = copy.appending(path: "steps").path
                try SmallRun(in: copy).run(epochs: 3, resumes: true, stepLog: path)
                #expect(try lines(path) == straight)
            }
            #expect(throws: TrainingError.self) {
                try SmallRun(in: folder.appending(path: "new")).run(epochs: 1, stepLog: log)
            }
            try Data("step,loss\n1,2\n".utf8).write(to: URL(filePath: log))
            let error = #expect(throws: TrainingError.self) {
                try SmallRun(in: parts).run(epochs: 3, resumes: true, stepLog: log)
            }
            #expect(error?.description.contains("not the log of this run's steps") == true)
        }
    }

    @Test("takes no step on a batch of damaged images alone, and goes on behind it when it is resumed")
    func emptyBatches() throws {
        try withTemporaryFolder { folder in
            func batch(_ epoch: Int, _ index: Int) -> Batch {
                index == 1 ? Batch(epoch: epoch, index: index, pixels: [], labels: []) : SmallRun.batch(epoch, index)
            }
            let (whole, parts) = (folder.appending(path: "whole"), folder.appending(path: "parts"))
            for path in [whole, parts] {
                try FileManager.default.createDirectory(at: path, withIntermediateDirectories: true)
            }
            let straight = try SmallRun(in: whole)
            try straight.run(epochs: 2, batch: batch)
            #expect(straight.trainer.record.step == 4 && straight.trainer.record.history.map(\.images) == [16, 16])
            try SmallRun(in: parts).run(epochs: 2, batch: batch, isInterrupted: { $0 == 1 })
            let resumed = try SmallRun(in: parts)
            try resumed.run(epochs: 2, resumes: true, batch: batch)
            #expect(resumed.weights == straight.weights && resumed.trainer.record == straight.trainer.record)
        }
    }

    @Test("that meets an image it can't use keeps the steps before it; where there are none, a new run may begin")
    func badImages() throws {
        try withTemporaryFolder { folder in
            func run(until bad: (Int, Int)) throws -> TrainingRun.Files {
                let run = try SmallRun(in: folder)
                let error = try #require(throws: DataSetError.self) {
                    try run.run(
                        epochs: 2,
                        batch: { epoch, index in
                            if (epoch, index) == bad { throw DataSetError("cat/13.png: is gone", kind: .unreadable) }
                            return SmallRun.batch(epoch, index)
                        })
                }
                #expect(error.message.contains("cat/13.png"))
                return run.files
            }
            let untouched = try run(until: (0, 0))
            #expect(!FileManager.default.fileExists(atPath: untouched.state))
            let begun = try run(until: (1, 2))
            #expect(try TrainingState.Reader(path: begun.state).record.step == 5)
        }
    }

    @Test("whose schedule begins again has a new schedule's rates from there on, and goes on with it to the same bits")
    func restartsSchedule() throws {
        try withTemporaryFolder { folder in
            let (whole, parts) = (folder.appending(path: "whole"), folder.appending(path: "parts"))
            var weights: [[Float]] = []
            for path in [whole, parts] {
                try FileManager.default.createDirectory(at: path, withIntermediateDirectories: true)
                // Interrupted in the middle of the second epoch of a schedule of two.
                let first = try SmallRun(in: path, steps: 6)
                #expect(try first.run(epochs: 2, isInterrupted: { $0 == 4 }) == .interrupted)
                #expect(throws: TrainingError.self) { try SmallRun(in: path, steps: 12).run(epochs: 4, resumes: true) }
                let restarted = try SmallRun(in: path, rate: 1e-3, steps: 12)
                try restarted.run(
                    epochs: 4, resumes: true, restartsSchedule: true, isInterrupted: { path == parts && $0 == 7 })
                guard path == parts else {
                    weights.append(restarted.weights)
                    let fresh = LearningRateSchedule(peak: 1e-3, warmUpSteps: 0, totalSteps: 8, shape: .cosine)
                    #expect(
                        restarted.trainer.record.history.map(\.learningRate).dropFirst() == [
                            fresh.rate(at: 1), fresh.rate(at: 4), fresh.rate(at: 7),
                        ])
                    continue
                }
                let resumed = try SmallRun(in: path, rate: 1e-3, steps: 12)
                #expect(try resumed.run(epochs: 4, resumes: true) == .finished)
                weights.append(resumed.weights)
            }
            #expect(weights[0] == weights[1])
            // Not a change of anything else.
            #expect(throws: TrainingError.self) {
                try SmallRun(in: whole, seed: 2, steps: 24).run(epochs: 8, resumes: true, restartsSchedule: true)
            }
        }
    }

    @Test("that was killed before it wrote its log writes it when it is resumed, though nothing else is left to do")
    func logAfterKill() throws {
        try withTemporaryFolder { folder in
            try SmallRun(in: folder).run(epochs: 2)
            let paths = ["log.csv", "progress.svg"].map { folder.appending(path: $0) }
            let written = try paths.map { try Data(contentsOf: $0) }
            for path in paths { try FileManager.default.removeItem(at: path) }
            #expect(try SmallRun(in: folder).run(epochs: 2, resumes: true) == .finished)
            #expect(try paths.map { try Data(contentsOf: $0) } == written)
        }
    }

    @Test("lowers its loss", arguments: [false, true])
    func learns(head: Bool) throws {
        try withTemporaryFolder { folder in
            let run = try SmallRun(in: folder, head: head)
            try run.run(epochs: 8)
            let history = run.trainer.record.history
            #expect(history.last!.loss < 0.8 * history.first!.loss)
            if head { #expect(history.last!.top1 == 1) }
            let log = try String(contentsOf: folder.appending(path: "log.csv"), encoding: .utf8)
            #expect(log.split(separator: "\n").count == 9)
            #expect(try String(contentsOf: folder.appending(path: "progress.svg"), encoding: .utf8).contains("<svg"))
        }
    }

    private func spoiltBatch(_ epoch: Int, _ index: Int) -> Batch {
        let batch = SmallRun.batch(epoch, index)
        return Batch(epoch: epoch, index: index, pixels: batch.pixels.map { $0 * .infinity }, labels: batch.labels)
    }

    @Test("saves as often as it was told")
    func checkpoints() throws {
        try withTemporaryFolder { folder in
            let run = try SmallRun(in: folder)
            // The clock is read twice a step and once more to ask for a checkpoint; each reading is a second later.
            var seconds = 0
            var saved: [Int] = []
            let clock: () -> Duration = {
                seconds += 1
                return .seconds(seconds)
            }
            let note: (Int) -> Bool = { _ in
                saved.append((try? TrainingState.Reader(path: run.files.state).record.step) ?? 0)
                return false
            }
            try run.run(epochs: 1, interval: .seconds(6), now: clock, isInterrupted: note)
            #expect(saved == [0, 0, 2, 3])
        }
    }

    @Test("ends with an error that names step and last good state when its loss is not finite, and leaves that state")
    func divergence() throws {
        try withTemporaryFolder { folder in
            try SmallRun(in: folder).run(epochs: 1)
            let state = folder.appending(path: "state.safetensors")
            let good = try Data(contentsOf: state)
            let run = try SmallRun(in: folder, coupling: .icfm)
            let error = try #require(throws: TrainingError.self) {
                try run.run(epochs: 3, resumes: true, interval: .zero, batch: spoiltBatch)
            }
            #expect(
                error
                    == .diverged(
                        step: 4, epoch: 2, what: "the loss",
                        lastGood: "\(run.files.state) holds the state after step 3"))
            #expect(try Data(contentsOf: state) == good)
            #expect(throws: TrainingError.self) {
                let wild = try SmallRun(in: folder.appending(path: "wild"), coupling: .icfm, rate: 1e30, average: nil)
                try FileManager.default.createDirectory(
                    at: folder.appending(path: "wild"), withIntermediateDirectories: true)
                try wild.run(epochs: 3)
            }
        }
    }

    @Test("keeps the last good state where squares of gradients overflow, though loss and gradients are finite")
    func overflow() throws {
        try withTemporaryFolder { folder in
            let (learner, state) = (ToldLearner(), folder.appending(path: "state"))
            let trainer = Trainer(
                learner,
                recipe: Trainer.Recipe(
                    schedule: LearningRateSchedule(peak: 1e-3, warmUpSteps: 0, totalSteps: 2, shape: .constant),
                    optimizer: AdamW.Settings()),
                settings: TrainingSettings(), computation: "", pool: WorkerPool(count: 1))
            let batch = Batch(epoch: 0, index: 0, pixels: [0], labels: [0])
            _ = try trainer.step(batch)
            try trainer.save(to: state.path)
            let good = try Data(contentsOf: state)
            learner.gradient = 1e25
            _ = try trainer.step(batch)
            let error = try #require(throws: TrainingError.self) { try trainer.save(to: state.path) }
            #expect(
                error
                    == .diverged(
                        step: 2, epoch: 1, what: "the second moment of weight after the update",
                        lastGood: "no state has been saved yet"))
            #expect(try Data(contentsOf: state) == good)
        }
    }

    @Test("refuses the state of another run, saying what differs, and one that isn't there or is in the way")
    func otherRuns() throws {
        try withTemporaryFolder { folder in
            let missing = try #require(throws: TrainingError.self) {
                try SmallRun(in: folder).run(epochs: 1, resumes: true)
            }
            #expect(missing == .nothingToResume(path: "\(folder.path)/state.safetensors"))
            try SmallRun(in: folder).run(epochs: 1)
            let other = try #require(throws: TrainingError.self) {
                try SmallRun(in: folder, seed: 2).run(epochs: 2, resumes: true)
            }
            #expect("\(other)".contains("--seed was 1 and is 2;"))
            let begun = try #require(throws: TrainingError.self) { try SmallRun(in: folder).run(epochs: 1) }
            #expect(begun == .alreadyBegun(path: "\(folder.path)/state.safetensors"))
            let elsewhere = try SmallRun(in: folder, workers: 1)
            #expect(try elsewhere.trainer.resume(from: elsewhere.files.state) == "2 workers")
        }
    }

    @Test(
        "goes on from a state of version 0.2, whose settings are texts, if they say the same, and writes the present form"
    )
    func formerStates() throws {
        try withTemporaryFolder { folder in
            let run = try SmallRun(in: folder)
            try run.run(epochs: 1)
            let path = folder.appending(path: "state.safetensors").path
            func rewrite(_ change: (inout [String: String]) -> Void) throws {
                let state = try SafetensorsFile(path: path)
                var texts = run.trainer.settings.descriptions
                change(&texts)
                var record = run.trainer.record
                (record.formatVersion, record.settings) = (1, .descriptions(texts))
                try SafetensorsWriter.write(
                    state.tensors, metadata: [TrainingState.metadataKey: try TrainingState.document(record)],
                    to: path + ".former"
                ) { .floats(try state.floats(of: $0.name)) }
            }
            try rewrite { _ in }
            let document = try #require(try SafetensorsFile(path: path + ".former").metadata[TrainingState.metadataKey])
            #expect(document.contains("\"--seed\":\"1\""))
            let resumed = try SmallRun(in: folder)
            #expect(try resumed.trainer.resume(from: path + ".former") == nil)
            #expect(
                resumed.weights == run.weights && resumed.trainer.record.settings == .settings(run.trainer.settings))
            #expect(resumed.trainer.record.formatVersion == TrainingRecord.currentFormatVersion)
            try rewrite { $0["--batch-size"] = "4" }
            let error = #expect(throws: TrainingError.self) {
                try SmallRun(in: folder).trainer.resume(from: path + ".former")
            }
            #expect("\(error!)".contains("--batch-size was 4 and is 8;"))
        }
    }

    @Test("refuses a state file that is damaged, foreign or of another network")
    func hostileStates() throws {
        try withTemporaryFolder { folder in
            let run = try SmallRun(in: folder)
            try run.run(epochs: 1)
            let good = try Data(contentsOf: folder.appending(path: "state.safetensors"))
            let record = run.trainer.record
            func expectRefusal(_ data: Data, _ name: String) throws {
                let path = folder.appending(path: name).path
                try data.write(to: URL(filePath: path))
                let victim = try SmallRun(in: folder)
                let before = victim.weights
                #expect(throws: (any Error).self, "\(name)") { try victim.trainer.resume(from: path) }
                #expect(victim.weights == before)
            }
            try expectRefusal(good.prefix(good.count - 4), "short")
            try expectRefusal(good.prefix(100), "cut")
            try expectRefusal(Data("{}".utf8), "foreign")
            func written(_ metadata: [String: String], _ tensors: [TensorDescription] = []) throws -> Data {
                let path = folder.appending(path: "made").path
                try SafetensorsWriter.write(tensors, metadata: metadata, to: path) {
                    .floats([Float](repeating: 0, count: $0.count))
                }
                return try Data(contentsOf: URL(filePath: path))
            }
            try expectRefusal(try written([:]), "without a record")
            try expectRefusal(try written([TrainingState.metadataKey: "{\"step\":1e99}"]), "nonsense")
            let document = String(decoding: try JSONEncoder().encode(record), as: UTF8.self)
            try expectRefusal(try written([TrainingState.metadataKey: document]), "without tensors")
            let absurd = document.replacing("\"epoch\":1,", with: "\"epoch\":-1,")
            try expectRefusal(try written([TrainingState.metadataKey: absurd]), "absurd")
        }
    }

    @Test("that ends at its first model, as where that can't be written, goes on from there as if it had not")
    func unwritableModel() throws {
        try withTemporaryFolder { folder in
            let run = try SmallRun(in: folder)
            let error = try #require(throws: FileError.self) {
                try run.run(
                    epochs: 2,
                    keepModel: { _ in
                        throw FileError(.unwritable, "can't write model.safetensors: No space left on device")
                    })
            }
            #expect(error.kind == .unwritable)
            let record = try TrainingState.Reader(path: run.files.state).record
            #expect(record.step == 3 && record.epoch == 0, "the epoch is not done without its model")
            let resumed = try SmallRun(in: folder)
            var models = 0
            try resumed.run(epochs: 2, resumes: true, keepModel: { _ in models += 1 })
            #expect(models == 2)
            let whole = folder.appending(path: "whole")
            try FileManager.default.createDirectory(at: whole, withIntermediateDirectories: true)
            let straight = try SmallRun(in: whole)
            try straight.run(epochs: 2)
            #expect(resumed.weights == straight.weights && resumed.trainer.record == straight.trainer.record)
        }
    }

    @Test("Networks begin at zero velocity with weights of the right size")
    func initialization() throws {
        let program = try SmallRun.architecture.program()
        let store = ParameterStore(shapes: program.parameters)
        WeightInitialization.initialize(store, seed: 3)
        for shape in program.parameters {
            let values = (0..<shape.count).map { store.value(shape.key)[$0] }
            if shape.startsAtZero {
                #expect(values.allSatisfy { $0 == 0 }, "\(shape.key)")
            } else if shape.key.hasSuffix("in_layers.2.weight") {
                let bound = 1 / Float(shape.shape.dropFirst().reduce(1, *)).squareRoot()
                #expect(values.allSatisfy { abs($0) <= bound } && values.contains { abs($0) > 0.9 * bound })
            } else if shape.key.hasSuffix("in_layers.0.weight") {
                #expect(values.allSatisfy { $0 == 1 })
            }
        }
        #expect(program.parameters.count { $0.startsAtZero } == 2 * (1 + 2 + 2 + 1 + 1))
    }
}
