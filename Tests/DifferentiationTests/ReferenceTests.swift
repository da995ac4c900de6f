import FlowModel
import ModelFixtures
import Networks
import ReferenceNetwork
import TestFixtures
import Testing

/// An operation of the reference network and the shapes of the variables that it differentiates by.
struct ReferenceOperation: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let shapes: [[Int]]
    let run: @Sendable (Tape, [Variable]) -> Variable

    static let all = [
        Self(testDescription: "3x3 convolution", shapes: [[2, 3, 5, 5], [4, 3, 3, 3], [4]]) {
            $0.convolution($1[0], weight: $1[1], bias: $1[2])
        },
        Self(testDescription: "3x3 convolution, stride 2", shapes: [[2, 3, 6, 6], [4, 3, 3, 3], [4]]) {
            $0.convolution($1[0], weight: $1[1], bias: $1[2], stride: 2)
        },
        Self(
            testDescription: "3x3 convolution, stride 2 from the first pixel",
            shapes: [[2, 3, 6, 6], [4, 3, 3, 3], [4]]
        ) {
            $0.convolution($1[0], weight: $1[1], bias: $1[2], stride: 2, padding: 0)
        },
        Self(testDescription: "1x1 convolution", shapes: [[2, 3, 4, 4], [5, 3, 1], [5]]) {
            $0.convolution($1[0], weight: $1[1], bias: $1[2])
        },
        Self(testDescription: "doubling", shapes: [[2, 3, 4, 4]]) { $0.doubled($1[0]) },
        Self(testDescription: "halving", shapes: [[2, 3, 4, 4]]) { $0.halved($1[0]) },
        Self(testDescription: "factor", shapes: [[7]]) { $0.scaled($1[0], by: -0.3) },
        Self(testDescription: "addend", shapes: [[2, 3, 4, 4], [2, 3]]) { $0.shifted($1[0], by: $1[1]) },
        Self(testDescription: "concatenation", shapes: [[2, 3, 4, 4], [2, 2, 4, 4]]) {
            $0.concatenated($1[0], $1[1])
        },
        Self(testDescription: "sum", shapes: [[7], [7]]) { $0.sum($1[0], $1[1], factor: -0.3) },
        Self(testDescription: "SiLU", shapes: [[9]]) { $0.silu($1[0]) },
        Self(testDescription: "tanh", shapes: [[9]]) { $0.hyperbolicTangent($1[0]) },
        Self(testDescription: "linear", shapes: [[3, 5], [4, 5], [4]]) {
            $0.linear($1[0], weight: $1[1], bias: $1[2])
        },
        Self(testDescription: "GroupNorm", shapes: [[2, 64, 3, 3], [64], [64]]) {
            $0.groupNorm($1[0], weight: $1[1], bias: $1[2], epsilon: 1e-3)
        },
        Self(testDescription: "LayerNorm", shapes: [[2, 12], [12], [12]]) {
            $0.layerNorm($1[0], weight: $1[1], bias: $1[2])
        },
        Self(testDescription: "scale and shift", shapes: [[2, 3, 4, 4], [2, 6]]) { $0.modulated($1[0], by: $1[1]) },
        Self(testDescription: "attention", shapes: [[2, 18, 3, 3]]) { $0.attention($1[0], heads: 2) },
        Self(testDescription: "pooling", shapes: [[2, 3, 5, 5]]) { $0.pooled($1[0], to: 3) },
        Self(testDescription: "flow-matching loss", shapes: [[2, 3, 4, 4]]) {
            $0.flowMatchingLoss($1[0], target: [Double](repeating: 0.25, count: 96))
        },
        Self(testDescription: "cross-entropy", shapes: [[3, 5]]) {
            $0.crossEntropy($1[0], labels: [4, 0, 2], smoothing: 0.1)
        },
    ]
}

@Suite("The reference network's gradients, in double")
struct ReferenceTests {
    @Test("agree with central differences for each operation", arguments: ReferenceOperation.all)
    func finiteDifferences(operation: ReferenceOperation) {
        var noise = SeededGenerator(seed: 11)
        let values = operation.shapes.map { noise.floats($0.reduce(1, *)).map(Double.init) }
        let variables = zip(values, operation.shapes).map { Variable($0, shape: $1) }
        let tape = Tape()
        let result = operation.run(tape, variables)
        let seed = noise.floats(result.value.count).map(Double.init)
        tape.differentiate(result, seed: seed)
        func weighted(_ input: Int, _ shift: [Double], by h: Double) -> Double {
            let moved = zip(values, operation.shapes).map { Variable($0, shape: $1) }
            for i in shift.indices { moved[input].value[i] += h * shift[i] }
            return zip(seed, operation.run(Tape(), moved).value).reduce(0) { $0 + $1.0 * $1.1 }
        }
        for input in variables.indices {
            for _ in 0..<4 {
                let direction = noise.floats(values[input].count).map(Double.init)
                let h = 1e-4
                // Richardson's extrapolation removes the error of order h².
                let wide = (weighted(input, direction, by: 2 * h) - weighted(input, direction, by: -2 * h)) / (4 * h)
                let narrow = (weighted(input, direction, by: h) - weighted(input, direction, by: -h)) / (2 * h)
                let expected = (4 * narrow - wide) / 3
                let found = zip(direction, variables[input].gradient).reduce(0) { $0 + $1.0 * $1.1 }
                #expect(abs(found - expected) <= 1e-8 * max(abs(expected), 1), "input \(input)")
            }
        }
    }

    @Test(
        "of the whole network and of the loss through Euler steps agree with central differences, wherever the head reads",
        arguments: [nil, ActivationMeans(.up(1))] as [ActivationMeans?])
    func network(place: ActivationMeans?) async throws {
        // One direction through every parameter, and one each through those whose share of it is small.
        try await expectCentralDifferences(
            try GradientCase(side: 16, place: place), kinds: place == nil ? ["", "time_embed", "qkv"] : [""])
    }

    @Test(
        "of the loss through Euler steps of a flow with another scale at each point agree with central differences",
        arguments: [Prediction.epsilon, .edm])
    func predictions(prediction: Prediction) async throws {
        let program = try VariedNetwork.smallest.program()
        let sample = GradientCase(program, place: ActivationMeans(.middle), through: prediction.flow)
        try await expectCentralDifferences(sample, kinds: [""])
    }

    private func expectCentralDifferences(_ sample: GradientCase, kinds: [String]) async throws {
        let keys = sample.shapes.map(\.key)
        func loss(_ reference: ReferenceNetwork, _ tape: Tape) -> Variable {
            sample.reverseLoss(reference, tape, start: sample.start())
        }
        let reference = sample.reference()
        let tape = Tape()
        tape.differentiate(loss(reference, tape), seed: [1])
        var noise = SeededGenerator(seed: 12)
        for kind in kinds {
            let chosen = keys.filter { $0.contains(kind) || kind.isEmpty }
            #expect(!chosen.isEmpty)
            let directions = chosen.map { noise.floats(reference.parameters[$0]!.value.count).map(Double.init) }
            func moved(by h: Double) async -> Double {
                // Other tests' servers wait for this thread.
                await Task.yield()
                let shifted = sample.reference()
                for (key, direction) in zip(chosen, directions) {
                    for i in direction.indices { shifted.parameters[key]!.value[i] += h * direction[i] }
                }
                return loss(shifted, Tape()).value[0]
            }
            let h = 2e-5
            let wide = (await moved(by: 2 * h) - moved(by: -2 * h)) / (4 * h)
            let narrow = (await moved(by: h) - moved(by: -h)) / (2 * h)
            let expected = (4 * narrow - wide) / 3
            let found = zip(chosen, directions).reduce(0.0) { sum, pair in
                sum + zip(pair.1, reference.parameters[pair.0]!.gradient).reduce(0) { $0 + $1.0 * $1.1 }
            }
            #expect(abs(found - expected) <= 1e-6 * abs(expected), "\(kind): \(found) and \(expected)")
        }
    }

    @Test("agree with PyTorch's for flow matching at three times")
    func flowMatching() throws {
        let sample = try GradientCase(side: 16)
        let reference = sample.reference()
        let tape = Tape()
        let velocity = reference.velocity(sample.images(1001, 3), times: GradientCase.times, on: tape)
        let loss = tape.flowMatchingLoss(velocity, target: sample.images(1002, 3).value)
        tape.differentiate(loss, seed: [1])
        let fixture = try GradientFixture("flow")
        try fixture.expectClose(loss.value, "loss", within: 1e-6)
        try fixture.expectClose(velocity.value, "velocity", within: 1e-6)
        try fixture.expectGradients(within: 1e-6, sample.shapes) { reference.parameters[$0]!.gradient }
    }

    @Test("agree with PyTorch's for cross-entropy through three Euler steps and the head")
    func reverse() throws {
        let sample = try GradientCase(side: 16)
        let reference = sample.reference()
        let tape = Tape()
        let start = sample.start()
        let loss = sample.reverseLoss(reference, tape, start: start)
        tape.differentiate(loss, seed: [1])
        let fixture = try GradientFixture("reverse")
        try fixture.expectClose(loss.value, "loss", within: 1e-6)
        try fixture.expectClose(start.gradient, "start", within: 1e-6)
        try fixture.expectGradients(within: 1e-6, sample.shapes) { reference.parameters[$0]!.gradient }
    }
}
