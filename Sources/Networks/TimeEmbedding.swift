import Glibc
import Layers
import Tensor

/// The time embedding (PRG, section 1): sinusoids of t through Linear, SiLU, Linear, and the SiLU that every residual
/// block applies before projecting to its scale and shift.
///
/// With a fixed grid the times are known when a model loads, so all this is computed once; a step costs none of it, and
/// images at different times share a batch.
public struct TimeEmbedding: Sendable, Equatable {
    /// Sinusoids of a time.
    public let channels: Int
    /// Length of the embedding, and of what is between its linear layers.
    public let width: Int
    /// What the keys of the first linear layer's weight and bias begin with.
    public let firstKey: String
    /// What the keys of the second linear layer's weight and bias begin with.
    public let secondKey: String
    /// How a time becomes sinusoids.
    public let sinusoids: Sinusoids

    /// Describes an embedding.
    public init(
        channels: Int, width: Int, firstKey: String, secondKey: String, sinusoids: Sinusoids = .reference
    ) {
        self.channels = channels
        self.width = width
        self.firstKey = firstKey
        self.secondKey = secondKey
        self.sinusoids = sinusoids
    }

    /// Its parameters in the order of model files.
    public var parameters: [ParameterShape] {
        ParameterShape.affine(firstKey, [width, channels]) + ParameterShape.affine(secondKey, [width, width])
    }

    /// SiLU(emb(t)) for each time: [times][width].
    func activated(times: [Float], kernels: Kernels, parameters: ParameterSource) throws -> [Float] {
        let hidden = try Self.linear(firstKey, inputs: channels, outputs: width, parameters: parameters)(
            times.flatMap { sinusoids.values(of: $0, count: channels) }, kernels: kernels)
        let embedding = try Self.linear(secondKey, inputs: width, outputs: width, parameters: parameters)(
            hidden.map(Self.silu), kernels: kernels)
        return embedding.map(Self.silu)
    }

    /// A fully connected layer of the embedding path. It always runs on our own kernels, never on a BLAS,
    /// whose sums depend on the processor and on the environment: a product's bits are the same with all vector kernels.
    static func linear(
        _ key: String, inputs: Int, outputs: Int, parameters: ParameterSource
    ) throws -> Linear {
        Linear(
            weight: try parameters(key + ".weight"), bias: try parameters(key + ".bias"), inputs: inputs,
            outputs: outputs)
    }

    private static func silu(_ x: Float) -> Float { x / (1 + exp(-x)) }
}

/// Every operation's scale and shift for every time: [times][width], immutable.
final class ModulationTable: Sendable {
    private let values: AlignedBuffer
    private let width: Int

    /// Projects the embeddings of `timeCount` times, as `TimeEmbedding.activated` gives them.
    init(
        _ modulations: [NetworkOperation.Modulation], timeCount: Int, embedding: [Float], kernels: Kernels,
        parameters: ParameterSource
    ) throws {
        width = modulations.reduce(0) { $0 + $1.width }
        values = AlignedBuffer(count: timeCount * width)
        for modulation in modulations {
            let projection = try TimeEmbedding.linear(
                modulation.key, inputs: modulation.embeddingWidth, outputs: modulation.width, parameters: parameters)
            let projected = projection(embedding, kernels: kernels)
            for time in 0..<timeCount {
                let row = values.pointer + time * width + modulation.offset
                for i in 0..<modulation.width { row[i] = projected[time * modulation.width + i] }
            }
        }
    }

    /// The row of the time with that index.
    func row(_ time: Int) -> UnsafePointer<Float> { UnsafePointer(values.pointer + time * width) }
}
