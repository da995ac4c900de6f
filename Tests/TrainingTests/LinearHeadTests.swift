import CheckpointFormats
import FlowModel
import Foundation
import Tensor
import TestFixtures
import Testing

@testable import Training

@Suite("A linear head that is solved for")
struct LinearHeadTests {
    private static let program = try! SmallRun.architecture.program()
    private static let configuration = HeadConfiguration(
        pooledSize: 2, hiddenWidth: nil, classes: 3, place: nil)

    /// Rows of 12 numbers on scales of their own, around a centre a class; one dimension never varies.
    private static func features(_ count: Int, seed: UInt64) -> (
        features: HeadFeatures, inputs: [[Float]], labels: [Int]
    ) {
        var random = SeededGenerator(seed: seed)
        let labels = (0..<count).map { $0 % 3 }
        let inputs = labels.map { label in
            (0..<12).map { d -> Float in
                d == 5 ? 2 : Float(d + 1) * ((d % 3 == label ? 1 : 0) + Float.random(in: -0.7...0.7, using: &random))
            }
        }
        let features = HeadFeatures(labels: labels, width: 12)
        features.take(
            inputs.flatMap { Standardized($0[...]).values }, positions: Array(0..<count), done: count)
        return (features, inputs, labels)
    }

    @Test(
        "gives, served, the logits whose scores were taken, in every type of weights",
        arguments: [ElementType.f32, .f16])
    func serves(type: ElementType) throws {
        let (training, _, _) = Self.features(240, seed: 1)
        let (validation, inputs, labels) = Self.features(150, seed: 2)
        let pool = WorkerPool(count: 2)
        let solved = try LinearHead(
            training, validation: validation, classes: 3, penalties: LinearHead.penalties, storing: type, on: pool
        ) { _, _ in }
        let head = try ClassificationHead(Self.configuration, on: Self.program) { key in
            try type.rounded(try #require(solved.weights(key)))
        }
        var tally = EvaluationTally()
        for (input, label) in zip(inputs, labels) {
            let read = head.activations(input, kernels: .best)
            tally.add(logits: head.logits(activations: read, kernels: .best), answer: label)
        }
        let best = try #require(solved.best.validation)
        #expect(tally.score.top1! >= 0.9 && abs(tally.score.top1! - best.top1!) < 0.02)
        #expect(abs(tally.score.loss - best.loss) < (type == .f32 ? 1e-5 : 2e-3))
        #expect(solved.attempts.allSatisfy { $0.validation!.loss >= best.loss })
        #expect(solved.attempts.map(\.penalty) == LinearHead.penalties)
        #expect(solved.csv.split(separator: "\n").count == 1 + LinearHead.penalties.count)
    }

    @Test("is the same from every starting penalty, with any number of workers")
    func isUnique() throws {
        let training = Self.features(240, seed: 3).features
        func solve(_ penalties: [Double], workers: Int) throws -> [Float] {
            let head = try LinearHead(
                training, validation: training, classes: 3, penalties: penalties, storing: .f32,
                on: WorkerPool(count: workers)
            ) { _, _ in }
            return try #require(head.weights("classifier.1.weight"))
        }
        let alone = try solve([0.01], workers: 1)
        #expect(try solve([0.01], workers: 3) == alone)
        // 0.01 has the least loss of these on what it was trained on, and 10 another minimum.
        let after = try solve([10, 0.01], workers: 1)
        #expect(zip(alone, after).allSatisfy { abs($0 - $1) < 2e-3 })
        #expect(try zip(alone, solve([10], workers: 1)).contains { abs($0 - $1) > 0.05 })
    }

    @Test("weighs classes alike if it is told to, however many images they have")
    func balances() throws {
        let labels = [Int](repeating: 0, count: 90) + [Int](repeating: 1, count: 10)
        let features = HeadFeatures(labels: labels, width: 4)
        features.take(
            (0..<100).flatMap { n in [Float(n % 7), 1, -1, Float(n % 5)] }, positions: Array(0..<100), done: 100)
        func biases(_ isBalanced: Bool) throws -> Float {
            let head = try LinearHead(
                features, validation: nil, classes: 2, penalties: [100], balancesClasses: isBalanced, storing: .f32,
                on: WorkerPool(count: 1)
            ) { _, _ in }
            let biases = try #require(head.weights("classifier.1.bias"))
            return biases[0] - biases[1]
        }
        // Under a penalty that leaves the biases alone, they are the logarithms of what the classes weigh.
        #expect(try abs(biases(false) - log(9)) < 0.02 && abs(biases(true)) < 0.02)
    }

    @Test("goes on from features that a state holds, of the images that are not damaged; other features are refused")
    func restores() throws {
        try withTemporaryFolder { folder in
            let path = folder.appending(path: "state").path
            let features = HeadFeatures(labels: [0, 1, 2, 0, 1], width: 2)
            features.take([1, 2, 3, 4, 5, 6], positions: [0, 2, 3], done: 4)
            let record = TrainingRecord(settings: TrainingSettings(), computation: "here", options: ["data": "/a"])
            try TrainingState.write(record, features: [("training", features)], to: path)
            let reader = try TrainingState.Reader(path: path)
            #expect(reader.record.options == ["data": "/a"] && reader.record.featuresDone == ["training": 4])
            let restored = HeadFeatures(labels: [0, 1, 2, 0, 1], width: 2)
            try reader.restore(restored, name: "training")
            #expect(restored.rows == features.rows && restored.positions == [0, 2, 3] && restored.done == 4)
            let untouched = HeadFeatures(labels: [0], width: 2)
            try reader.restore(untouched, name: "validation")
            #expect(untouched.done == 0)
            for other in [HeadFeatures(labels: [0, 1], width: 2), HeadFeatures(labels: [0, 1, 2, 0, 1], width: 3)] {
                #expect(throws: TrainingError.self) { try reader.restore(other, name: "training") }
            }
        }
    }
}
