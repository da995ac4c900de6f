import Differentiation
import Layers
import Networks
import ReferenceNetwork
import Tensor
import TestFixtures
import Testing

@Suite("Operations' gradients agree with their definition's in double") struct OperationGradientTests {
    @Test("by the state and by every parameter, with every set of kernels", arguments: OperationCase.tested)
    func definition(operation: OperationCase) throws {
        let (program, images) = (operation.program, operation.images)
        var noise = SeededGenerator(seed: UInt64(program.side))
        let times = (0..<images).map { 0.25 + Float($0) / 4 }
        let states = noise.floats(images * program.stateCount)
        let output = program.buffers[program.output]
        let seed = noise.floats(images * output.channels * output.side * output.side)
        let store = ParameterStore(shapes: program.parameters)
        for (index, shape) in program.parameters.enumerated() {
            let numbers = SeededGenerator.parameter(
                index, shape: shape.shape, isFactor: shape.key.hasSuffix(".weight"))
            store.value(shape.key).update(from: numbers, count: numbers.count)
        }
        let reference = ReferenceNetwork(program) {
            Array(UnsafeBufferPointer(start: store.value($0.key), count: $0.count))
        }
        let tape = Tape()
        let input = program.buffers[program.input]
        let x = Variable(states.map(Double.init), shape: [images, input.channels, input.side, input.side])
        tape.differentiate(reference.velocity(x, times: times, on: tape), seed: seed.map(Double.init))
        let largest = program.parameters.map { norm(reference.parameters[$0.key]!.gradient) }.max()!

        for kernels in Kernels.all {
            for workers in [1, 3] {
                let network = TrainableNetwork(
                    program, capacity: images, kernels: kernels, pool: WorkerPool(count: workers))
                network.takeValues(from: store)
                var velocities = [Float](repeating: 0, count: seed.count)
                var stateGradients = [Float](repeating: 0, count: states.count)
                // Twice, so that sums must have been reset.
                for _ in 0..<2 {
                    store.clearGradients()
                    network.forward(states, times: times[...], outputs: &velocities)
                    network.backward(seed, batch: images, inputGradients: &stateGradients)
                    network.giveGradients(to: store)
                }
                let message: Comment = "\(kernels.name), \(workers) workers"
                #expect(
                    difference(stateGradients, x.gradient) <= 1e-4 * max(norm(x.gradient), largest / 1000), message)
                for shape in program.parameters {
                    let expected = reference.parameters[shape.key]!.gradient
                    let found = Array(UnsafeBufferPointer(start: store.gradient(shape.key), count: shape.count))
                    // A bias before a normalisation has no gradient but rounding.
                    #expect(
                        difference(found, expected) <= 1e-4 * max(norm(expected), largest / 1000),
                        "\(shape.key), \(message)")
                }
            }
        }
    }

    @Test("have the same bits with any number of workers, if that is asked for", arguments: OperationCase.tested)
    func workers(operation: OperationCase) throws {
        let (program, images) = (operation.program, operation.images)
        var noise = SeededGenerator(seed: UInt64(program.side))
        let times = (0..<images).map { 0.25 + Float($0) / 4 }
        let states = noise.floats(images * program.stateCount)
        let output = program.buffers[program.output]
        let seed = noise.floats(images * output.channels * output.side * output.side)
        func gradients(_ kernels: Kernels, workers: Int) -> [Float] {
            let store = ParameterStore(shapes: program.parameters)
            for (index, shape) in program.parameters.enumerated() {
                let numbers = SeededGenerator.parameter(
                    index, shape: shape.shape, isFactor: shape.key.hasSuffix(".weight"))
                store.value(shape.key).update(from: numbers, count: numbers.count)
            }
            let network = TrainableNetwork(
                program, capacity: images, sums: .independentOfWorkers, kernels: kernels,
                pool: WorkerPool(count: workers))
            network.takeValues(from: store)
            var velocities = [Float](repeating: 0, count: seed.count)
            for _ in 0..<2 {
                network.forward(states, times: times[...], outputs: &velocities)
                network.backward(seed, batch: images, inputGradients: nil)
            }
            network.giveGradients(to: store)
            return Array(UnsafeBufferPointer(start: store.gradients, count: store.count))
        }
        for kernels in Kernels.all {
            let alone = gradients(kernels, workers: 1)
            #expect(gradients(kernels, workers: 3) == alone, "\(kernels.name), 3 workers")
        }
    }

    private func norm(_ values: [Double]) -> Double { values.reduce(0) { $0 + $1 * $1 }.squareRoot() }

    private func difference(_ found: [Float], _ expected: [Double]) -> Double {
        zip(found, expected).reduce(0) { $0 + (Double($1.0) - $1.1) * (Double($1.0) - $1.1) }.squareRoot()
    }
}
