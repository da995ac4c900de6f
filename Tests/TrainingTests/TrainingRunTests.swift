import Files
import FlowModel
import Foundation
import TestFixtures
import Testing

@testable import Training

@Suite("A training run")
struct TrainingRunTests {
    @Test("that is interrupted and resumed gives bit for bit what one that wasn't gives", arguments: SmallRun.heads)
    func resumes(flow: Named<Flow?>) throws {
        let head = flow.value
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
        arguments: SmallRun.heads.prefix(2))
    func interruptedValidation(flow: Named<Flow?>) throws {
        let head = flow.value
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

    @Test("lowers its loss", arguments: SmallRun.heads)
    func learns(flow: Named<Flow?>) throws {
        let head = flow.value
        try withTemporaryFolder { folder in
            let run = try SmallRun(in: folder, head: head)
            try run.run(epochs: 8)
            let history = run.trainer.record.history
            #expect(history.last!.loss < 0.8 * history.first!.loss)
            if head != nil { #expect(history.last!.top1 == 1) }
            let log = try String(contentsOf: folder.appending(path: "log.csv"), encoding: .utf8)
            #expect(log.split(separator: "\n").count == 9)
            #expect(try String(contentsOf: folder.appending(path: "progress.svg"), encoding: .utf8).contains("<svg"))
        }
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

    @Test("saves short epochs together, the last one always, and so does an interruption between two")
    func shortEpochs() throws {
        try withTemporaryFolder { folder in
            func outcome(_ name: String, interruptedAfter step: Int = .max) throws -> (epochs: Int, models: Int) {
                let place = folder.appending(path: name)
                try FileManager.default.createDirectory(at: place, withIntermediateDirectories: true)
                let run = try SmallRun(in: place)
                // An epoch takes a little more than nine seconds.
                var (seconds, models, saves) = (0, 0, Set<Int>())
                let clock: () -> Duration = {
                    seconds += 1
                    return .seconds(seconds)
                }
                try run.run(
                    epochs: 5, leastInterval: .seconds(25), now: clock, keepModel: { _ in models += 1 },
                    isInterrupted: {
                        if let state = try? TrainingState.Reader(path: run.files.state) {
                            saves.insert(state.record.epoch)
                        }
                        return $0 == step
                    })
                let state = try TrainingState.Reader(path: run.files.state).record
                let log = try? String(contentsOf: place.appending(path: "log.csv"), encoding: .utf8)
                if step == .max { #expect(log?.split(separator: "\n").count == 6) }
                if step == .max { #expect(saves == [3, 5]) }
                return (state.epoch, models)
            }
            let (whole, interrupted) = (try outcome("whole"), try outcome("interrupted", interruptedAfter: 6))
            #expect(whole == (5, 2))
            #expect(interrupted == (1, 0), "what is left of the second epoch is its end")
        }
    }

    @Test("keeps the best model of short epochs when there is a score")
    func shortEpochsWithScores() throws {
        try withTemporaryFolder { folder in
            let run = try SmallRun(in: folder, validation: try SmallRun.pictures(in: folder))
            var kept: [Int] = []
            try run.run(epochs: 6, leastInterval: .seconds(3600), keepModel: { kept.append($0.record.epoch + 1) })
            let history = run.trainer.record.history
            let best = history.indices.filter { epoch in
                history[..<epoch].allSatisfy { history[epoch].validation!.isBetter(than: $0.validation!) }
            }
            #expect(kept == best.map { $0 + 1 } && kept.first == 1)
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
}
