import Foundation
import Tensor
import TestFixtures
import Testing

@testable import Evaluation
@testable import Training

@Suite("Linear probes")
struct LinearProbeTests {
    /// Clusters around one direction a class, wide enough for some to be mistaken.
    private static func clusters(
        _ count: Int, dimension: Int, classes: Int, seed: UInt64, changed: ([Float]) -> [Float] = { $0 }
    ) -> LabelledEmbeddings {
        var random = SeededGenerator(seed: seed)
        let first = changed([Float](repeating: 0, count: dimension))
        var embeddings = LabelledEmbeddings(dimension: first.count)
        for row in 0..<count {
            let label = row % classes
            let values = (0..<dimension).map { d -> Float in
                (d % classes == label ? 1 : 0) + Float.random(in: -1...1, using: &random)
            }
            embeddings.append(changed(values), label: label)
        }
        return embeddings
    }

    /// The gradient of the penalised loss by its definition, in double precision: zero at the minimum and only there.
    private static func gradient(
        _ parameters: [Double], _ embeddings: LabelledEmbeddings, classes: Int, penalty: Double
    ) -> [Double] {
        let (dimension, count) = (embeddings.dimension, embeddings.count)
        let columns = (0..<dimension).map { d -> [Double] in
            let column = (0..<count).map { Double(embeddings.values[$0 * dimension + d]) }
            let mean = column.reduce(0, +) / Double(count)
            let centred = column.map { $0 - mean }
            let deviation = (centred.reduce(0) { $0 + $1 * $1 } / Double(count)).squareRoot()
            return centred.map { $0 / deviation }
        }
        var gradient = parameters.enumerated().map { $0 < classes * dimension ? penalty * $1 : 0 }
        for row in 0..<count {
            let logits = (0..<classes).map { c -> Double in
                var sum = parameters[classes * dimension + c]
                for d in 0..<dimension { sum += parameters[c * dimension + d] * columns[d][row] }
                return sum
            }
            let sum = logits.reduce(0) { $0 + exp($1) }
            for c in 0..<classes {
                let share = (exp(logits[c]) / sum - (c == embeddings.labels[row] ? 1 : 0)) / Double(count)
                gradient[classes * dimension + c] += share
                for d in 0..<dimension { gradient[c * dimension + d] += share * columns[d][row] }
            }
        }
        return gradient
    }

    @Test("What is found is the minimum of the penalised loss", arguments: [1e-3, 0.1])
    func findsMinimum(penalty: Double) {
        let training = Self.clusters(700, dimension: 7, classes: 3, seed: 1)
        let probe = LinearProbe(training, penalty: penalty, on: WorkerPool(count: 2), progress: { _ in })
        let gradient = Self.gradient(probe.regression.parameters, training, classes: 3, penalty: penalty)
        #expect(gradient.allSatisfy { abs($0) < 1e-4 }, "\(gradient)")
        #expect(probe.regression.iterations < LogisticRegression.iterationLimit)
        #expect(probe.regression.loss < log(3))
        // Not a minimum that any parameters have.
        let origin = [Double](repeating: 0, count: probe.regression.parameters.count)
        #expect(Self.gradient(origin, training, classes: 3, penalty: penalty).contains { abs($0) > 0.05 })
    }

    @Test("It counts what it classifies as its training set's classes")
    func counts() {
        let training = Self.clusters(600, dimension: 8, classes: 2, seed: 2)
        let test = Self.clusters(400, dimension: 8, classes: 2, seed: 3)
        let probe = LinearProbe(training, on: WorkerPool(count: 1), progress: { _ in })
        #expect((320...400).contains(probe.correct(test)))
        // With every label the other, what was right is wrong.
        var swapped = LabelledEmbeddings(dimension: 8)
        for row in 0..<test.count {
            swapped.append(Array(test.values[(row * 8)..<((row + 1) * 8)]), label: 1 - test.labels[row])
        }
        #expect(probe.correct(swapped) == test.count - probe.correct(test))
    }

    @Test("The bits don't depend on the number of workers", arguments: [2, 3, 5])
    func bits(workers: Int) {
        let training = Self.clusters(3000, dimension: 12, classes: 4, seed: 4)
        let one = LinearProbe(training, on: WorkerPool(count: 1), progress: { _ in })
        let many = LinearProbe(training, on: WorkerPool(count: workers), progress: { _ in })
        #expect(one.regression.parameters == many.regression.parameters && one.regression.loss == many.regression.loss)
    }

    @Test("Scales and offsets of dimensions don't matter, nor does a dimension that doesn't vary")
    func standardises() {
        // Of length 1 already, so that the scaling of rows changes nothing.
        func unit(_ values: [Float]) -> [Float] {
            let length = values.reduce(0) { $0 + $1 * $1 }.squareRoot()
            return length > 0 ? values.map { 0.6 * $0 / length } : values
        }
        let plain = Self.clusters(900, dimension: 6, classes: 3, seed: 5) { unit($0) + [0.8] }
        let bare = Self.clusters(900, dimension: 6, classes: 3, seed: 5) { unit($0) }
        let a = LinearProbe(plain, on: WorkerPool(count: 1), progress: { _ in })
        let b = LinearProbe(bare, on: WorkerPool(count: 1), progress: { _ in })
        #expect(abs(a.regression.loss - b.regression.loss) < 1e-5)
        #expect(a.regression.parameters.allSatisfy { $0.isFinite })
        for c in 0..<3 { #expect(abs(a.regression.parameters[c * 7 + 6]) < 1e-6) }
    }

    @Test("A class without training images is never right, and cancelling ends the training")
    func edges() {
        let training = Self.clusters(60, dimension: 4, classes: 2, seed: 6)
        var unknown = LabelledEmbeddings(dimension: 4)
        unknown.append([1, 0, 0, 0], label: 5)
        let probe = LinearProbe(training, on: WorkerPool(count: 1), progress: { _ in })
        #expect(probe.classes == 2 && probe.correct(unknown) == 0)
        #expect(throws: CancellationError.self) {
            _ = try LinearProbe(training, on: WorkerPool(count: 1)) { _ in throw CancellationError() }
        }
    }
}

@Suite("L-BFGS")
struct LimitedMemoryBFGSTests {
    @Test("Finds the bottom of Rosenbrock's curved valley in ten dimensions")
    func rosenbrock() {
        var evaluations = 0
        let found = LimitedMemoryBFGS(tolerance: 1e-9, iterationLimit: 1000).minimum(
            from: [Double](repeating: -1, count: 10),
            { x in
                evaluations += 1
                var (value, gradient) = (0.0, [Double](repeating: 0, count: x.count))
                for i in 0..<(x.count - 1) {
                    let (bend, rest) = (x[i + 1] - x[i] * x[i], 1 - x[i])
                    value += 100 * bend * bend + rest * rest
                    gradient[i] += -400 * x[i] * bend - 2 * rest
                    gradient[i + 1] += 200 * bend
                }
                return (value, gradient)
            }, progress: { _ in })
        #expect(found.point.allSatisfy { abs($0 - 1) < 1e-6 }, "\(found)")
        #expect(found.iterations < 300 && evaluations < 600)
    }

    @Test("Ends where there is nothing to gain, and after the iterations allowed")
    func ends() {
        func square(_ x: [Double]) -> (value: Double, gradient: [Double]) {
            (x[0] * x[0] * x[0] * x[0], [4 * x[0] * x[0] * x[0]])
        }
        let minimizer = LimitedMemoryBFGS(tolerance: 1e-9, iterationLimit: 2)
        #expect(minimizer.minimum(from: [0], square, progress: { _ in }).iterations == 0)
        var told: [Int] = []
        let found = minimizer.minimum(from: [3], square) { told.append($0) }
        #expect(told == [1, 2] && found.iterations == 2 && found.value < 81)
    }
}
