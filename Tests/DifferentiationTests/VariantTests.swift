import Differentiation
import FlowModel
import Networks
import ReferenceNetwork
import TestFixtures
import Testing

/// A network that differs from PRG's in one way or in several.
struct VariedNetwork: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let architecture: UNetArchitecture

    private init(
        _ description: String, multipliers: [Double] = [1, 2], headWidth: Int? = nil,
        _ change: (inout UNetVariant) -> Void
    ) {
        testDescription = description
        var variant = UNetVariant.reference
        variant.headWidth = headWidth
        change(&variant)
        architecture = UNetArchitecture(
            modelChannels: 64, residualBlocks: 1, channelMultipliers: multipliers, attentionDownsampling: [2],
            heads: headWidth == nil ? 2 : 1, imageSize: 16, variant: variant)
    }

    /// The smallest network that a pass can be differentiated through.
    static let smallest = UNetArchitecture(
        modelChannels: 32, residualBlocks: 1, channelMultipliers: [1], attentionDownsampling: [1], heads: 2,
        imageSize: 16)

    static let all = [
        Self("additive embedding") { $0.modulation = .additive },
        Self("epsilon") { $0.epsilon = 0.01 },
        Self("sines first, shifted frequencies") { ($0.sinusoids, $0.frequencyShift) = (.sinesFirst, 1) },
        Self("padding on the right and below") { $0.downsamplingPadding = .bottomRight },
        Self("residual resampling") { $0.resampling = .residual },
        Self("residual resampling with a convolution in the shortcut") { $0.resampling = .residualWithSkip },
        Self("attention in the last block of a level") { $0.decoderAttention = .lastBlock },
        Self("scaled residual sums") { $0.residualScale = 0.5.squareRoot() },
        Self("residual resampling with scaled sums") {
            ($0.resampling, $0.residualScale) = (.residual, 0.5.squareRoot())
        },
        Self("head width", headWidth: 32) { _ in },
        Self("widths that rise and fall, fractions among them", multipliers: [0.5, 1.5, 1]) { $0.inputWidth = 32 },
        Self("all at once", multipliers: [0.5, 1], headWidth: 64) {
            $0.modulation = .additive
            $0.resampling = .residualWithSkip
            $0.epsilon = 1e-6
            ($0.sinusoids, $0.frequencyShift) = (.sinesFirst, 1)
            $0.decoderAttention = .lastBlock
            $0.residualScale = 0.5.squareRoot()
            $0.inputWidth = 32
        },
    ]
}

@Suite("A network that differs from PRG's")
struct VariantTests {
    @Test("has the velocity and the gradients of its definition", arguments: VariedNetwork.all)
    func definition(network: VariedNetwork) throws {
        let program = try network.architecture.program()
        let sample = GradientCase(program)
        let trainable = TrainableCase(sample, capacity: 1)
        let states = sample.noise(31, 1)
        let targets = sample.noise(32, 1)
        let times: [Float] = [0.8]
        let loss = FlowMatchingObjective(trainable.network).differentiate(
            states: states, times: times, targets: targets)
        _ = trainable.gradients()
        let reference = sample.reference()
        let tape = Tape()
        let velocity = reference.velocity(sample.images(31, 1), times: times, on: tape)
        let expected = tape.flowMatchingLoss(velocity, target: targets.map(Double.init))
        tape.differentiate(expected, seed: [1])
        #expect(abs(loss - expected.value[0]) < 1e-5 * expected.value[0])
        trainable.expectGradientsClose(to: reference, program.parameters)
    }

    @Test("differs from PRG's in the velocity or in the parameters", arguments: VariedNetwork.all)
    func difference(network: VariedNetwork) throws {
        var plain = network.architecture
        plain.variant = .reference
        if network.architecture.variant.headWidth != nil { plain.heads = 2 }
        let (own, other) = (GradientCase(try network.architecture.program()), GradientCase(try plain.program()))
        func velocity(_ sample: GradientCase) -> [Float] {
            let trainable = TrainableCase(sample, capacity: 1)
            var velocities = [Float](repeating: 0, count: sample.program.stateCount)
            trainable.network.forward(sample.noise(31, 1), times: [0.8], outputs: &velocities)
            return velocities
        }
        #expect(velocity(own) != velocity(other))
    }
}
