import CheckpointFormats
import Differentiation
import Foundation
import Networks
import Tensor
import TestFixtures
import Testing

@testable import Training

/// A learner of three numbers whose gradients it is told.
private final class ToldLearner: Learner {
    let store = ParameterStore(shapes: [ParameterShape(key: "weight", shape: [3])])
    var gradient: Float = 1

    func valuesChanged() {}

    func differentiate(_ batch: Batch, parts: [Range<Int>], step: Int, partDone: (BatchOutcome) -> Void) {
        for _ in parts {
            store.gradients.update(repeating: gradient, count: store.count)
            partDone(BatchOutcome(loss: 1))
        }
    }

    func validate(beforeEachBatch: () throws -> Void) -> ValidationScore? { nil }
}

@Suite("A training run and its state")
struct TrainingStateTests {
    private func spoiltBatch(_ epoch: Int, _ index: Int) -> Batch {
        let batch = SmallRun.batch(epoch, index)
        return Batch(epoch: epoch, index: index, pixels: batch.pixels.map { $0 * .infinity }, labels: batch.labels)
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
                let wild = try SmallRun(in: folder.appending(path: "wild"), coupling: .icfm, rate: 1e30, average: 0)
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
                learner, settings: SmallRun.settings(rate: 1e-3, decay: 0, steps: 2), batchesPerEpoch: 1,
                computation: "",
                pool: WorkerPool(count: 1))
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
            #expect(begun == .alreadyBegun(path: "\(folder.path)/state.safetensors", option: "--output"))
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
}
