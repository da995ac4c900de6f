import CheckpointFormats
import Differentiation
import FlowModel
import Networks
import ReferenceNetwork
import TestFixtures
import Testing

/// The network, inputs and losses that `Tests/Fixtures/gradients/make_gradients.py` differentiates, at any size.
struct GradientCase: Sendable {
    static let times: [Float] = [0, 0.37, 1]
    private static let steps = [(time: 1.0, size: -0.25), (0.75, -0.125), (0.625, -0.25)]
    static let labels = [3, 0]
    static let smoothing = 0.1

    let program: NetworkProgram
    let head: HeadConfiguration
    /// From images to where the head reads.
    let referencePass: ReferencePass
    /// The network's parameters, then the head's.
    var shapes: [ParameterShape] { program.parameters + head.parameters(on: program) }
    var side: Int { program.side }

    init(side: Int, place: ActivationMeans? = nil) throws {
        let program = try UNetArchitecture(
            modelChannels: 32, residualBlocks: 1, channelMultipliers: [1, 2], attentionDownsampling: [2], heads: 4,
            imageSize: side
        ).program()
        self.init(program, place: place)
    }

    /// Of another network, whatever its shape, or through another flow.
    init(_ program: NetworkProgram, place: ActivationMeans? = nil, through flow: ParametrisedFlow? = nil) {
        self.program = program
        head = HeadConfiguration(pooledSize: 8, hiddenWidth: 24, classes: 5, place: place)
        referencePass =
            flow.map { ReferencePass($0, count: 4) } ?? ReferencePass(steps: Self.steps, stopTime: 0.375)
    }

    var pass: EulerPass {
        let reference = referencePass
        return EulerPass(
            steps: reference.steps.map { EulerStep(at: $0.point, size: Float($0.size)) },
            stopTime: Float(reference.stop.label), imageScale: Float(reference.imageScale),
            stopInputScale: Float(reference.stop.c), stopUnit: Float(reference.stopUnit))
    }

    /// A parameter's numbers by its key.
    var parameters: [String: [Float]] {
        Dictionary(
            uniqueKeysWithValues: shapes.enumerated().map { index, shape in
                let isFactor = shape.key.hasSuffix(".weight")
                return (shape.key, SeededGenerator.parameter(index, shape: shape.shape, isFactor: isFactor))
            })
    }

    func reference() -> ReferenceNetwork {
        let parameters = parameters
        return ReferenceNetwork(program, head: head) { parameters[$0.key]! }
    }

    /// [count][3][side][side] of noise.
    func noise(_ seed: UInt64, _ count: Int) -> [Float] {
        var generator = SeededGenerator(seed: seed)
        return generator.floats(count * 3 * side * side)
    }

    func images(_ seed: UInt64, _ count: Int) -> Variable {
        Variable(noise(seed, count).map(Double.init), shape: [count, 3, side, side])
    }

    func start() -> Variable { images(1003, 2) }

    func reverseLoss(_ reference: ReferenceNetwork, _ tape: Tape, start: Variable) -> Variable {
        tape.crossEntropy(
            reference.logits(of: start, after: referencePass, on: tape), labels: Self.labels, smoothing: Self.smoothing)
    }
}

/// ‖found − expected‖ / ‖expected‖; of two zeros 0.
func relativeError(_ found: [Double], _ expected: [Double]) -> Double {
    guard found.count == expected.count else { return .infinity }
    let difference = zip(found, expected).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }.squareRoot()
    let magnitude = expected.reduce(0) { $0 + $1 * $1 }.squareRoot()
    return difference == 0 ? 0 : difference / magnitude
}

/// What PyTorch found for one of the losses.
struct GradientFixture {
    private let file: SafetensorsFile
    private let name: String

    init(_ name: String) throws {
        file = try SafetensorsFile(path: TestFixtures.path("gradients/gradients.safetensors"))
        self.name = name
    }

    private func numbers(_ tensor: String) throws -> [Double] {
        try file.floats(of: "\(name).\(tensor)").map(Double.init)
    }

    func expectClose(_ found: [Double], _ tensor: String, within tolerance: Double) throws {
        let error = relativeError(found, try numbers(tensor))
        #expect(error < tolerance, "\(name).\(tensor): \(error)")
    }

    /// Compares each parameter's gradient: evenly spaced numbers, the norm, and the product with a seeded tensor.
    func expectGradients(within tolerance: Double, _ shapes: [ParameterShape], _ gradient: (String) -> [Double]) throws
    {
        let (samples, norms) = (try numbers("samples"), try numbers("norms"))
        let projections = try numbers("projections")
        #expect(norms.count == shapes.count)
        // Biases before a normalisation of single channels have no gradient but rounding.
        let least = norms.reduce(0) { $0 + $1 * $1 }.squareRoot() / 1000
        var offset = 0
        for (index, shape) in shapes.enumerated() {
            let found = gradient(shape.key)
            #expect(found.count == shape.count)
            let taken = min(32, found.count)
            let norm = max(norms[index], least)
            // A number far below the others of its tensor carries the rounding of their sums.
            let allowed = tolerance * norm / Double(found.count).squareRoot()
            for i in 0..<taken {
                let error = abs(found[i * found.count / taken] - samples[offset + i])
                #expect(error <= 8 * allowed, "\(name), \(shape.key)[\(i * found.count / taken)]: \(error)")
            }
            offset += taken
            let length = found.reduce(0) { $0 + $1 * $1 }.squareRoot()
            #expect(
                abs(length - norms[index]) <= tolerance * norm,
                "\(name), \(shape.key): norm \(length), not \(norms[index])")
            var noise = SeededGenerator(seed: UInt64(5000 + index))
            let projection = zip(found, noise.floats(found.count)).reduce(0) { $0 + $1.0 * Double($1.1) }
            #expect(
                abs(projection - projections[index]) <= tolerance * norm,
                "\(name), \(shape.key): projection \(projection), not \(projections[index])")
        }
        #expect(offset == samples.count)
    }
}
