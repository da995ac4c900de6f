import Glibc
import Layers
public import Networks
public import Tensor

/// The head (PRG, section 4): logits = Linear(Tanh(Linear(LayerNorm(x)))), the last Linear without bias, x being the pooled
/// final state or the spatial means of activations. A linear head is logits = Linear(LayerNorm(x)).
public final class ClassificationHead: Sendable {
    /// The head's sizes.
    public let configuration: HeadConfiguration
    private let gamma: [Float]
    private let beta: [Float]
    /// Nil in a linear head.
    private let hidden: Linear?
    private let classes: Linear

    /// Takes the parameters `classifier.{0,1,3}`, of a linear head `classifier.{0,1}`, on that network.
    public init(
        _ configuration: HeadConfiguration, on network: NetworkProgram, parameters: ParameterSource
    ) throws {
        self.configuration = configuration
        gamma = try parameters("classifier.0.weight")
        beta = try parameters("classifier.0.bias")
        let first = Linear(
            weight: try parameters("classifier.1.weight"), bias: try parameters("classifier.1.bias"),
            inputs: configuration.inputWidth(on: network), outputs: configuration.hiddenWidth ?? configuration.classes)
        guard let hiddenWidth = configuration.hiddenWidth else {
            (hidden, classes) = (nil, first)
            return
        }
        hidden = first
        classes = Linear(
            weight: try parameters("classifier.3.weight"), bias: nil, inputs: hiddenWidth,
            outputs: configuration.classes)
    }

    /// The input of the last layer, for what the head reads, such as a pooled state, [3·pooledSize²]: the tanh
    /// activations, [hiddenWidth], or in a linear head the normalised input.
    public func activations(_ input: [Float], kernels: Kernels) -> [Float] {
        let normalized = normalized(input)
        return hidden.map { $0(normalized, kernels: kernels).map { tanh($0) } } ?? normalized
    }

    /// The logits, [classes], of what `activations` gives.
    public func logits(activations: [Float], kernels: Kernels) -> [Float] { classes(activations, kernels: kernels) }

    private func normalized(_ x: [Float]) -> [Float] {
        Standardized(x[...]).values.enumerated().map { i, value in value * gamma[i] + beta[i] }
    }
}

/// LayerNorm without its scales and offsets: numbers brought to mean 0 and variance 1.
public struct Standardized {
    /// The numbers less their mean over their deviation.
    public let values: [Float]
    /// One over their deviation.
    public let inverse: Double

    /// Computes in double.
    public init(_ x: ArraySlice<Float>) {
        let count = Double(x.count)
        let mean = x.reduce(0.0) { $0 + Double($1) } / count
        let variance = x.reduce(0.0) { $0 + (Double($1) - mean) * (Double($1) - mean) } / count
        let inverse = 1 / (variance + 1e-5).squareRoot()
        values = x.map { Float((Double($0) - mean) * inverse) }
        self.inverse = inverse
    }
}

extension HeadConfiguration {
    /// How many numbers the pooled state has: three channels of `pooledSize` squared.
    public var representationWidth: Int { 3 * pooledSize * pooledSize }

    /// How many numbers the head reads: the pooled state's, or the means at its place, which `validate(on:)` found there.
    public func inputWidth(on network: NetworkProgram) -> Int { place.map(network.count(of:)) ?? representationWidth }

    /// The head's parameters in the reference's order, keys such as `classifier.1.weight`: LayerNorm (0), the hidden
    /// Linear (1), after Tanh (2) the Linear without bias (3). A linear head's second and last is the Linear (1) that gives the
    /// logits.
    public func parameters(on network: NetworkProgram) -> [ParameterShape] {
        let width = inputWidth(on: network)
        guard let hiddenWidth else {
            return ParameterShape.affine("classifier.0", [width])
                + ParameterShape.affine("classifier.1", [classes, width])
        }
        return ParameterShape.affine("classifier.0", [width])
            + ParameterShape.affine("classifier.1", [hiddenWidth, width])
            + [ParameterShape(key: "classifier.3.weight", shape: [classes, hiddenWidth])]
    }
}

/// Adaptive average pooling of a state; see ``poolingWindow(_:of:side:)``.
public enum AveragePool {
    /// Pools `planes`, [3][side][side], to [3][size][size] in (channel, row, column) order: the representation.
    public static func pool(_ planes: [Float], side: Int, to size: Int) -> [Float] {
        precondition(planes.count == 3 * side * side)
        var result: [Float] = []
        result.reserveCapacity(3 * size * size)
        for channel in 0..<3 {
            for y in 0..<size {
                let rows = poolingWindow(y, of: size, side: side)
                for x in 0..<size {
                    let columns = poolingWindow(x, of: size, side: side)
                    var sum: Float = 0
                    for row in rows {
                        for column in columns { sum += planes[(channel * side + row) * side + column] }
                    }
                    result.append(sum / Float(rows.count * columns.count))
                }
            }
        }
        return result
    }

    /// The transpose of `pool`: takes the gradient with respect to the pooled state, [3][size][size], and writes the gradient
    /// with respect to the state, [3][side][side], to `planes`.
    public static func spread(_ gradient: [Float], from size: Int, side: Int, into planes: UnsafeMutablePointer<Float>)
    {
        precondition(gradient.count == 3 * size * size)
        planes.update(repeating: 0, count: 3 * side * side)
        for channel in 0..<3 {
            for y in 0..<size {
                let rows = poolingWindow(y, of: size, side: side)
                for x in 0..<size {
                    let columns = poolingWindow(x, of: size, side: side)
                    let share = gradient[(channel * size + y) * size + x] / Float(rows.count * columns.count)
                    for row in rows {
                        for column in columns { planes[(channel * side + row) * side + column] += share }
                    }
                }
            }
        }
    }
}
