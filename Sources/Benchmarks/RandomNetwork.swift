import FlowModel
import ModelImport
import ReverseODE
import Tensor

/// A network that is measured with random weights, on which time doesn't depend.
package struct RandomNetwork: Sendable {
    /// What options call it.
    package let name: String
    package let architecture: UNetArchitecture
    /// The sizes of batches that it is measured at if none are given.
    package let batches: [Int]

    /// The published networks (PRG, section 1), a small one, and those of other published families.
    package static let all =
        [
            RandomNetwork(name: "u32", architecture: .u32, batches: [1, 8]),
            RandomNetwork(name: "u64", architecture: .u64, batches: [1, 4]),
            RandomNetwork(
                name: "small",
                architecture: UNetArchitecture(
                    modelChannels: 32, residualBlocks: 1, channelMultipliers: [1, 2, 4],
                    attentionDownsampling: [4], heads: 4, imageSize: 32), batches: [1, 8]),
        ] + families

    /// Networks of published model families.
    private static let families = [
        RandomNetwork(name: "torchcfm-cifar10", architecture: .torchCFM, batches: [1, 8]),
        RandomNetwork(name: "ddpm-cifar10", architecture: .ddpmCIFAR10, batches: [1, 8]),
        RandomNetwork(name: "ddpm-256", architecture: .ddpm256, batches: [1]),
        RandomNetwork(name: "adm-64", architecture: .adm64, batches: [1, 4]),
        RandomNetwork(name: "edm-cifar10", architecture: .edmCIFAR10, batches: [1, 8]),
    ]

    package init?(named name: String) {
        guard let network = Self.all.first(where: { $0.name == name }) else { return nil }
        self = network
    }

    private init(name: String, architecture: UNetArchitecture, batches: [Int]) {
        self.name = name
        self.architecture = architecture
        self.batches = batches
    }

    /// A model without a head, whose activations stay of order one.
    ///
    /// - Parameter evaluations: of a pass.
    package func model(evaluations: Int, on computation: Computation) throws -> ReversibleModel {
        let configuration = configuration(evaluations: evaluations)
        return try ReversibleModel(
            configuration: configuration, precision: computation.precision, kernels: computation.kernels,
            pool: computation.pool, parameters: try Self.randomWeights(configuration))
    }

    /// Writes such a model to a file, the same bytes every time.
    package func write(evaluations: Int, to path: String) throws {
        let configuration = configuration(evaluations: evaluations)
        try ModelFile.write(configuration, to: path, weights: try Self.randomWeights(configuration))
    }

    package func configuration(evaluations: Int) -> ModelConfiguration {
        ModelConfiguration(
            name: name, architecture: architecture, head: nil, path: .icfm,
            grid: TimeGridConfiguration(count: evaluations + 1, cutoff: nil),
            preprocessing: .reference(imageSize: architecture.imageSize))
    }

    private static func randomWeights(_ configuration: ModelConfiguration) throws -> @Sendable (String) -> [Float] {
        let shapes = Dictionary(
            uniqueKeysWithValues: try ModelFile.parameters(of: configuration).map { ($0.key, $0.shape) })
        return { key in
            let shape = shapes[key]!
            let count = shape.reduce(1, *)
            let bound = shape.count == 1 ? Float(0.1) : (3 / Float(count / shape[0])).squareRoot()
            var state = UInt32(truncatingIfNeeded: key.utf8.reduce(2_166_136_261) { ($0 ^ Int($1)) &* 16_777_619 })
            return (0..<count).map { _ in
                state = state &* 1_664_525 &+ 1_013_904_223
                return (Float(state >> 8) / Float(1 << 23) - 1) * bound
            }
        }
    }
}
