import FlowModel
import ReverseODE
import Tensor

@testable import FeatureService

/// A model with random weights, small enough that a step takes a millisecond: 16 pixels, 32 channels, `steps` Euler steps.
enum TinyModel {
    static let side = 16

    static func make(
        seed: UInt64 = 1, steps: Int = 4, classes: Int = 3, selfTest: SelfTestRecord? = nil, pool: WorkerPool
    ) throws -> ServedModel {
        let architecture = UNetArchitecture(
            modelChannels: 32, residualBlocks: 1, channelMultipliers: [1, 1], attentionDownsampling: [2], heads: 4,
            imageSize: side)
        let configuration = ModelConfiguration(
            name: "tiny", architecture: architecture,
            head: HeadConfiguration(pooledSize: 16, hiddenWidth: 24, classes: classes), path: .icfm,
            grid: TimeGridConfiguration(count: steps + 1),
            preprocessing: PreprocessingConfiguration(
                resizeShorterSide: side, cropSize: side, mean: [0.5, 0.5, 0.5], standardDeviation: [0.5, 0.5, 0.5]),
            selfTest: selfTest)
        try configuration.validate()
        let layout = try UNetLayout(architecture)
        var shapes: [String: [Int]] = [:]
        for parameter in layout.parameters { shapes["unet." + parameter.key] = parameter.shape }
        for parameter in configuration.head!.parameters { shapes["head." + parameter.key] = parameter.shape }
        var random = SplitMix(state: seed)
        let model = try ReversibleModel(configuration: configuration, pool: pool) { key in
            let shape = shapes[key]!
            let count = shape.reduce(1, *)
            let scale = 1 / Float(max(1, count / shape[0])).squareRoot()
            return (0..<count).map { _ in (Float(random.next() >> 40) / Float(1 << 23) - 1) * scale }
        }
        return try ServedModel(
            model: model, version: ModelVersion(name: "tiny", sha256: String(repeating: "\(seed % 10)", count: 64)),
            byteCount: 1, storedType: "F32")
    }

    /// A normalised input that differs from seed to seed.
    static func input(_ seed: UInt64) -> [Float] {
        var random = SplitMix(state: seed)
        return (0..<(3 * side * side)).map { _ in Float(random.next() >> 40) / Float(1 << 23) - 1 }
    }
}

struct SplitMix: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
