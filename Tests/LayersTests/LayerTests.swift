import CKernels
import ReferenceNetwork
import Tensor
import TestFixtures
import Testing

@testable import Layers

private let vectorKernels = Kernels.all.filter { $0.name != "scalar" }

/// What networks are made of is tested operation by operation in `NetworksTests` and `DifferentiationTests`.
@Suite("Layers agree with their definition in double")
struct LayerTests {
    @Test("Linear: sizes that are no multiples of 16", arguments: vectorKernels, [(768, 10), (5, 33), (17, 1)])
    func linearLayer(kernels: Kernels, shape: (inputs: Int, outputs: Int)) {
        var noise = SeededGenerator(seed: UInt64(shape.inputs))
        let weight = noise.floats(shape.inputs * shape.outputs)
        let bias = noise.floats(shape.outputs)
        let x = noise.floats(shape.inputs)
        let y = Linear(weight: weight, bias: bias, inputs: shape.inputs, outputs: shape.outputs)(x, kernels: kernels)
        for o in 0..<shape.outputs {
            let expected = (0..<shape.inputs).reduce(Double(bias[o])) {
                $0 + Double(x[$1]) * Double(weight[o * shape.inputs + $1])
            }
            #expect(abs(Double(y[o]) - expected) < 1e-4)
        }
    }

    @Test(
        "Linear, forwards and backwards: sizes that are no multiples of 16", arguments: Kernels.all,
        [(48, 10, 7), (5, 33, 1), (17, 1, 20)])
    func linear(kernels: Kernels, shape: (inputs: Int, outputs: Int, rows: Int)) {
        var noise = SeededGenerator(seed: UInt64(shape.inputs))
        let (inputs, outputs, rows) = shape
        let (weight, bias) = (noise.floats(inputs * outputs), noise.floats(outputs))
        let (xs, seed) = (noise.floats(rows * inputs), noise.floats(rows * outputs))
        let (w, b, v) = (
            variable(weight, [outputs, inputs]), variable(bias, [outputs]), variable(xs, [rows, inputs])
        )
        let tape = Tape()
        let expected = tape.linear(v, weight: w, bias: b)
        tape.differentiate(expected, seed: seed.map(Double.init))

        let layer = LinearGradient(inputs: inputs, outputs: outputs, hasBias: true)
        layer.repack(weight: weight, bias: bias)
        let workspace = Workspace(kernels: kernels, pool: WorkerPool(count: 2), scratchFloats: 0)
        // Room for more rows than there are.
        func matrix(_ numbers: [Float], _ columns: Int) -> BlockedMatrix {
            let matrix = BlockedMatrix(rows: rows + 3, columns: columns)
            for i in numbers.indices { matrix[i / columns, i % columns] = numbers[i] }
            return matrix
        }
        func numbers(_ matrix: BlockedMatrix) -> [Float] {
            (0..<(rows * matrix.columns)).map { matrix[$0 / matrix.columns, $0 % matrix.columns] }
        }
        let (x, y) = (matrix(xs, inputs), matrix([], outputs))
        let (yGradient, xGradient) = (matrix(seed, outputs), matrix([], inputs))
        layer.layer.forward(x, into: y, rows: rows, on: workspace)
        layer.inputGradient(yGradient, into: xGradient, rows: rows, on: workspace)
        layer.accumulate(x, yGradient: yGradient, rows: rows, on: workspace)
        var (weightGradient, biasGradient) = (weight.map { _ in Float(0) }, bias.map { _ in Float(0) })
        layer.addGradients(weight: &weightGradient, bias: &biasGradient)
        #expect(relativeError(numbers(y), expected.value) < 1e-5)
        #expect(relativeError(numbers(xGradient), v.gradient) < 1e-5)
        #expect(relativeError(weightGradient, w.gradient) < 1e-5)
        #expect(relativeError(biasGradient, b.gradient) < 1e-5)
    }

    @Test("Linear: a row's bits depend neither on the other rows nor on the vector kernels", arguments: vectorKernels)
    func linearRows(kernels: Kernels) {
        var noise = SeededGenerator(seed: 7)
        let layer = Linear(weight: noise.floats(40 * 50), bias: noise.floats(50), inputs: 40, outputs: 50)
        let x = noise.floats(17 * 40)
        let together = layer(x, kernels: .best)
        for row in 0..<17 {
            let alone = layer(Array(x[row * 40..<(row + 1) * 40]), kernels: kernels)
            #expect(alone == Array(together[row * 50..<(row + 1) * 50]))
        }
    }

    @Test("Bands are divided where fetching activations is expensive, channels where reading weights is")
    func divisionFollowsCosts() {
        func division(weightBytes: Double, fetching: Double) -> WorkDivision {
            WorkDivision(
                workers: 4, imageParts: 1, units: 8, blocks: 16, rows: 64, inputs: 256, weights: 1 << 16, source: 4_096,
                costs: hw_costs(
                    multiply_adds: 32, weight_bytes: weightBytes, preparation: 0.25, fetching: fetching,
                    shared_cache: 0,
                    prefetch: 0))
        }
        #expect(division(weightBytes: 8, fetching: 1_000).unitParts == 4)
        #expect(division(weightBytes: 0.01, fetching: 2).blockParts == 4)
    }

    @Test("Work is divided completely and once, images among groups of processors first", arguments: 1...6)
    func division(workers: Int) {
        let divisors = (1...workers).filter { workers.isMultiple(of: $0) }
        for (units, imageParts) in [(1, 1), (3, 1), (8, 1)] + divisors.map({ (24, $0) }) {
            for blocks in [1, 2, 5, 16] {
                let division = WorkDivision(
                    workers: workers, imageParts: imageParts, units: units, blocks: blocks, rows: 64, inputs: 256,
                    weights: 1 << 16,
                    source: 4_096)
                #expect(division.unitParts % imageParts == 0)
                var seen = Set<Int>()
                for worker in 0..<workers {
                    let part = division.part(of: worker, units: units, blocks: blocks)
                    for unit in part.units {
                        for block in part.blocks { #expect(seen.insert(unit * 100 + block).inserted) }
                    }
                }
                #expect(seen.count == units * blocks)
            }
        }
    }
}

/// ‖found − expected‖ / ‖expected‖.
func relativeError(_ found: [Float], _ expected: [Double]) -> Double {
    guard found.count == expected.count else { return .infinity }
    let difference = zip(found, expected).reduce(0) { $0 + (Double($1.0) - $1.1) * (Double($1.0) - $1.1) }
    return (difference / expected.reduce(0) { $0 + $1 * $1 }).squareRoot()
}

private func variable(_ numbers: [Float], _ shape: [Int]) -> Variable {
    Variable(numbers.map(Double.init), shape: shape)
}
