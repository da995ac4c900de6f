import Layers
import Tensor

#if canImport(Glibc)
    import Glibc
#endif

/// Gives a named parameter's numbers, row-major as PyTorch keeps them.
public typealias ParameterSource = (_ key: String) throws -> [Float]

/// The time embedding (PRG, section 1): sinusoids of t through Linear, SiLU, Linear, and the SiLU that every residual
/// block applies before projecting to its scale and shift.
///
/// With a fixed grid the times are known when a model loads, so all this is computed once; a step costs none of it, and
/// images at different times share a batch.
public enum TimeEmbedding {
    /// SiLU(emb(t)) for each time: [times][4·channels].
    static func activated(
        times: [Float], channels: Int, kernels: Kernels, parameters: ParameterSource
    ) throws -> [Float] {
        let sinusoids = times.flatMap { sinusoid($0, channels: channels) }
        let width = 4 * channels
        let hidden = try linear("time_embed.0", inputs: channels, outputs: width, parameters: parameters)(
            sinusoids, kernels: kernels)
        let embedding = try linear("time_embed.2", inputs: width, outputs: width, parameters: parameters)(
            hidden.map(silu), kernels: kernels)
        return embedding.map(silu)
    }

    /// A fully connected layer of the embedding path. It runs on the kernels that all else runs on, and not always on a BLAS,
    /// whose sums depend on the processor and on the environment: a product's bits are the same with all vector kernels.
    static func linear(
        _ key: String, inputs: Int, outputs: Int, parameters: ParameterSource
    ) throws -> Linear {
        Linear(
            weight: try parameters(key + ".weight"), bias: try parameters(key + ".bias"), inputs: inputs,
            outputs: outputs)
    }

    /// [cos(t·f), sin(t·f)] with f_i = exp(-ln(10000)·i/half); an odd last channel is zero, as in the reference.
    public static func sinusoid(_ t: Float, channels: Int) -> [Float] {
        let half = channels / 2
        let arguments = (0..<half).map { i in
            Double(t * Float(exp(-log(10_000.0) * Double(i) / Double(half))))
        }
        let padding = [Float](repeating: 0, count: channels - 2 * half)
        return arguments.map { Float(cos($0)) } + arguments.map { Float(sin($0)) } + padding
    }

    private static func silu(_ x: Float) -> Float { x / (1 + exp(-x)) }
}

/// Every residual block's scale and shift for every time: [times][width], immutable.
final class FilmTable: Sendable {
    private let values: AlignedBuffer
    private let width: Int

    /// `columns` are the blocks' projections, [times][2·outputs] each, in the order of their offsets.
    init(timeCount: Int, columns: [[Float]]) {
        width = columns.reduce(0) { $0 + $1.count / timeCount }
        values = AlignedBuffer(count: timeCount * width)
        var offset = 0
        for column in columns {
            let count = column.count / timeCount
            for time in 0..<timeCount {
                for i in 0..<count { values.pointer[time * width + offset + i] = column[time * count + i] }
            }
            offset += count
        }
    }

    /// The row of the time with that index.
    func row(_ time: Int) -> UnsafePointer<Float> { UnsafePointer(values.pointer + time * width) }
}
