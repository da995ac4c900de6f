import CheckpointFormats
import FlowModel
import Networks
import Tensor
import TestFixtures
import Testing

/// Keeps the promise that published networks give the numbers of the packages that define them.
@Suite("A published network")
struct PublishedNetworkTests {
    /// Fixtures whose keys are canonical, and where their state dicts are.
    static let fixtures = [("torchcfm", "ema_model")]
    static let evaluated = [0, 2, 4]

    @Test("gives its package's numbers, and its activations' means at every place", arguments: fixtures)
    func numbers(name: String, stateDictionary: String) throws {
        let fixture = try #require(FamilyFixture.all.first { $0.name == name })
        try FamilyFixture.withUnpacked(name) { folder in
            let archive = try PyTorchArchive(path: folder.appending(path: fixture.source).path)
            let tensors = Dictionary(
                uniqueKeysWithValues: try archive.stateDictionary(stateDictionary).map { ($0.name, $0.tensor) })
            let expected = try SafetensorsFile(path: folder.appending(path: "expected.safetensors").path)
            let labels = Self.evaluated.map { Float(fixture.grid.tau[$0]) }
            let pool = WorkerPool(count: 2)
            let program = try fixture.network.architecture.program(frequencies: .singleExponentials)
            let field = try VelocityField(program, times: labels, pool: pool) { key in
                try archive.floats(of: #require(tensors[key]))
            }
            let evaluator = VelocityEvaluator(field, capacity: 1, kernels: .best, pool: pool)
            let input = try expected.floats(of: "input")
            for (n, _) in labels.enumerated() {
                evaluator.setInput(0, planes: input, time: n)
                evaluator.evaluate(batch: 1)
                var output = [Float](repeating: 0, count: program.stateCount)
                evaluator.copyVelocity(0, into: &output)
                expectClose(output, try expected.floats(of: "output.\(n)"), "output.\(n)")
                for place in program.places {
                    let tensor = "mean.\(n).\(place)"
                    expectClose(evaluator.spatialMeans(place, image: 0), try expected.floats(of: tensor), tensor)
                }
            }
        }
    }

    /// Within 2e-5 of the largest number.
    private func expectClose(_ found: [Float], _ expected: [Float], _ tensor: String) {
        let largest = expected.reduce(0) { max($0, abs($1)) }
        let error = zip(found, expected).reduce(0) { max($0, abs($1.0 - $1.1)) } / largest
        #expect(found.count == expected.count && error < 2e-5, "\(tensor): \(error)")
    }
}

extension FamilyFixture.Network {
    /// The network as configurations state it, but for the width of the first convolution.
    fileprivate var architecture: UNetArchitecture {
        var variant = UNetVariant.reference
        variant.modulation = modulation == "additive" ? .additive : .film
        variant.resampling =
            switch resampling {
            case "residual": .residual
            case "residual with 1x1 skip": .residualWithSkip
            default: .convolution
            }
        variant.epsilon = epsilon
        variant.sinusoids = sinusoids == "sin-cos" ? .sinesFirst : .cosinesFirst
        variant.frequencyShift = frequencyShift
        variant.downsamplingPadding = downsamplePadding == "bottom-right" ? .bottomRight : .symmetric
        variant.decoderAttention = attentionInDecoder == "last block" ? .lastBlock : .everyBlock
        variant.residualScale = residualScale
        variant.headWidth = headWidth
        return UNetArchitecture(
            modelChannels: modelChannels, residualBlocks: residualBlocks, channelMultipliers: channelMultipliers,
            attentionDownsampling: attentionDownsampling, heads: headWidth == nil ? heads ?? 1 : 1,
            imageSize: imageSize, variant: variant)
    }
}
