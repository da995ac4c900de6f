import Layers
import Networks
import ReferenceNetwork
import Tensor
import TestFixtures
import Testing

/// An operation's case with numbers.
struct OperationTrial {
    let operation: OperationCase
    let times: [Float]
    let states: [Float]
    let parameters: [String: [Float]]

    /// - Parameter offset: the mean of the states.
    init(_ operation: OperationCase, offset: Float = 0) {
        self.operation = operation
        let program = operation.program
        var noise = SeededGenerator(seed: UInt64(program.side))
        times = (0..<operation.images).map { 0.25 + Float($0) / 4 }
        states = noise.floats(operation.images * program.stateCount).map { $0 + offset }
        parameters = Dictionary(
            uniqueKeysWithValues: program.parameters.enumerated().map { index, parameter in
                let isFactor = parameter.key.hasSuffix(".weight")
                return (
                    parameter.key, SeededGenerator.parameter(index, shape: parameter.shape, isFactor: isFactor)
                )
            })
    }

    var images: Variable {
        let input = operation.program.buffers[operation.program.input]
        return Variable(states.map(Double.init), shape: [operation.images, input.channels, input.side, input.side])
    }

    var reference: ReferenceNetwork { ReferenceNetwork(operation.program) { parameters[$0.key]! } }
}

/// ‖found − expected‖ / ‖expected‖; of two zeros 0.
func relativeError(_ found: [Float], _ expected: [Double]) -> Double {
    guard found.count == expected.count else { return .infinity }
    let difference = zip(found, expected).reduce(0) { $0 + (Double($1.0) - $1.1) * (Double($1.0) - $1.1) }.squareRoot()
    return difference == 0 ? 0 : difference / expected.reduce(0) { $0 + $1 * $1 }.squareRoot()
}

@Suite("Operations agree with their definition in double") struct OperationTests {
    private static let kernels = Kernels.all + [.openBLAS]

    /// The result, [images][channels][side][side].
    private func evaluate(
        _ trial: OperationTrial, _ kernels: Kernels, precision: Precision = .f32, workers: Int
    ) throws -> [Float] {
        let (program, images) = (trial.operation.program, trial.operation.images)
        let pool = WorkerPool(count: workers)
        let field = try VelocityField(
            program, times: trial.times, precision: precision, kernels: kernels, pool: pool
        ) { trial.parameters[$0]! }
        let evaluator = VelocityEvaluator(field, capacity: images, kernels: kernels, pool: pool)
        for n in 0..<images {
            trial.states.withUnsafeBufferPointer {
                evaluator.setInput(n, planes: $0.baseAddress! + n * program.stateCount, time: n)
            }
        }
        evaluator.evaluate(batch: images)
        let output = program.buffers[program.output]
        var result = [Float](repeating: 0, count: images * output.channels * output.side * output.side)
        result.withUnsafeMutableBufferPointer {
            for n in 0..<images { evaluator.copyVelocity(n, into: $0.baseAddress! + n * $0.count / images) }
        }
        return result
    }

    @Test(
        "with every set of kernels, alone and shared by workers, far from zero too", arguments: OperationCase.tested,
        [Float(0), 20])
    func definition(operation: OperationCase, offset: Float) throws {
        let trial = OperationTrial(operation, offset: offset)
        let expected = trial.reference.velocity(trial.images, times: trial.times, on: Tape()).value
        for kernels in Self.kernels {
            for workers in [1, 3] {
                let error = relativeError(try evaluate(trial, kernels, workers: workers), expected)
                #expect(error < 1e-5, "\(kernels.name), \(workers) workers")
            }
        }
    }

    @Test("in bf16 within the rounding of factors, and no nearer", arguments: OperationCase.tested)
    func reducedPrecision(operation: OperationCase) throws {
        let trial = OperationTrial(operation)
        let expected = trial.reference.velocity(trial.images, times: trial.times, on: Tape()).value
        let isReduced = operation.program.operations.contains {
            switch $0.kind {
            case .convolution(let shape): shape.computed(in: .bf16).precision == .bf16
            case .pointwise: true
            case .attention, .resampling: false
            }
        }
        for kernels in Kernels.all where kernels.computes(.bf16) {
            let error = relativeError(try evaluate(trial, kernels, precision: .bf16, workers: 2), expected)
            #expect(error < 2e-2 && (error > 1e-5) == isReduced, "\(kernels.name)")
        }
    }
}
