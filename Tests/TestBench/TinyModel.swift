import FlowModel
import TestFixtures

/// Models of random weights, small enough that a debug build runs them in milliseconds.
package enum TinyModel {
    /// 16 pixels, 32 channels, `points` grid points and so one Euler step fewer, classes cat, dog and fish.
    package static func configuration(name: String, hasHead: Bool = true, points: Int = 4) -> ModelConfiguration {
        ModelConfiguration(
            name: name,
            architecture: UNetArchitecture(
                modelChannels: 32, residualBlocks: 1, channelMultipliers: [1, 1], attentionDownsampling: [2], heads: 4,
                imageSize: 16),
            head: hasHead ? HeadConfiguration(pooledSize: 4, hiddenWidth: 8, classes: 3) : nil, path: .icfm,
            grid: TimeGridConfiguration(count: points, cutoff: nil), preprocessing: .reference(imageSize: 16),
            labels: hasHead ? ["cat", "dog", "fish"] : nil)
    }

    /// Writes a model whose weights are uniform in -scale...scale.
    package static func write(
        to path: String, name: String = "tiny", seed: UInt64, hasHead: Bool = true, scale: Float = 0.05
    ) throws {
        try write(configuration(name: name, hasHead: hasHead), to: path, seed: seed, scale: scale)
    }

    /// Writes a model of another configuration.
    package static func write(
        _ configuration: ModelConfiguration, to path: String, seed: UInt64, scale: Float = 0.05
    ) throws {
        var generator = SeededGenerator(seed: seed)
        let parameters = try ModelFile.parameters(of: configuration)
        let counts = Dictionary(uniqueKeysWithValues: parameters.map { ($0.key, $0.count) })
        try ModelFile.write(configuration, to: path) { key in
            (0..<counts[key]!).map { _ in Float.random(in: -scale...scale, using: &generator) }
        }
    }
}
