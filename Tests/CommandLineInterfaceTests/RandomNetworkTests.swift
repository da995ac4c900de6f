import Benchmarks
import FlowModel
import Testing

@Suite("Networks that are measured with random weights")
struct RandomNetworkTests {
    /// Parameters of the published files, less those of six output channels, classes and augmentations.
    static let counts = [
        "torchcfm-cifar10": 35_746_307, "ddpm-cifar10": 35_746_307, "ddpm-256": 113_673_219, "edm-cifar10": 55_732_739,
        "adm-64": 295_899_267 - 1000 * 768,
    ]

    @Test("have as many parameters as the published files that they stand for", arguments: counts.keys.sorted())
    func parameters(name: String) throws {
        let network = try #require(RandomNetwork(named: name))
        #expect(try network.architecture.program().parameterCount == Self.counts[name])
    }
}
