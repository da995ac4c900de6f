import FlowModel
import Networks
import ReverseODE
import Tensor
import TestFixtures

@testable import FeatureService

/// A model with random weights up to `gain` in scale, small enough that a step takes a millisecond: 16 pixels, 32 channels, `steps` Euler steps.
enum TinyModel {
    static let side = 16

    static func make(
        seed: UInt64 = 1, steps: Int = 4, classes: Int = 3, gain: Float = 1, headPlace: ActivationMeans? = nil,
        selfTest: SelfTestRecord? = nil,
        pool: WorkerPool
    ) throws -> ServedModel {
        let architecture = UNetArchitecture(
            modelChannels: 32, residualBlocks: 1, channelMultipliers: [1, 1], attentionDownsampling: [2], heads: 4,
            imageSize: side)
        let configuration = ModelConfiguration(
            name: "tiny", architecture: architecture,
            head: HeadConfiguration(pooledSize: 16, hiddenWidth: 24, classes: classes, place: headPlace), path: .icfm,
            grid: TimeGridConfiguration(count: steps + 1),
            preprocessing: PreprocessingConfiguration(
                resizeShorterSide: side, cropSize: side, mean: [0.5, 0.5, 0.5], standardDeviation: [0.5, 0.5, 0.5]),
            selfTest: selfTest)
        try configuration.validate()
        let shapes = Dictionary(
            uniqueKeysWithValues: try ModelFile.parameters(of: configuration).map { ($0.key, $0.shape) })
        var random = SeededGenerator(seed: seed)
        let model = try ReversibleModel(configuration: configuration, pool: pool) { key in
            let shape = shapes[key]!
            let count = shape.reduce(1, *)
            let scale = gain / Float(max(1, count / shape[0])).squareRoot()
            return random.floats(count).map { $0 * scale }
        }
        return try ServedModel(
            model: model, version: ModelVersion(name: "tiny", sha256: String(repeating: "\(seed % 10)", count: 64)),
            byteCount: 1, storedType: "F32")
    }

    /// A normalised input that differs from seed to seed.
    static func input(_ seed: UInt64) -> [Float] {
        var random = SeededGenerator(seed: seed)
        return random.floats(3 * side * side)
    }
}
