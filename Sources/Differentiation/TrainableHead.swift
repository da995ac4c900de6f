public import FlowModel
import Glibc
import Layers

/// The classification head in both directions: LayerNorm, Linear, tanh, Linear without bias (PRG, section 4), or LayerNorm and
/// Linear, on what it reads of a final state.
///
/// Not for use by two threads at a time.
public final class TrainableHead {
    /// The head's sizes.
    public let configuration: HeadConfiguration
    /// Most images at a time.
    public let capacity: Int
    /// Numbers that it reads of each image.
    public let width: Int
    private let workspace: Workspace
    /// What comes between the normalised inputs and the last layer; nil in a linear head.
    private let hiddenLayer: HiddenLayer?
    private let last: TrainableLinear
    private var gamma: [Float]
    private var beta: [Float]
    private var gammaGradient: [Float]
    private var betaGradient: [Float]
    private var inverses: [Float]
    /// Inputs less their mean over their deviation.
    private let standardized: BlockedMatrix
    private let normalized: BlockedMatrix
    private let logits: BlockedMatrix
    private let logitGradient: BlockedMatrix
    private let inputGradient: BlockedMatrix

    private struct HiddenLayer {
        let linear: TrainableLinear
        let activations: BlockedMatrix
        let gradient: BlockedMatrix
    }

    /// Lays a head out for what it reads of `network`; `takeValues` must follow.
    public init(_ configuration: HeadConfiguration, network: TrainableNetwork) {
        self.configuration = configuration
        let width = configuration.inputWidth(on: network.program)
        let capacity = network.capacity
        self.width = width
        self.capacity = capacity
        workspace = network.workspace
        func matrix(_ columns: Int) -> BlockedMatrix { BlockedMatrix(rows: capacity, columns: columns) }
        hiddenLayer = configuration.hiddenWidth.map { hiddenWidth in
            HiddenLayer(
                linear: TrainableLinear("classifier.1", inputs: width, outputs: hiddenWidth),
                activations: matrix(hiddenWidth), gradient: matrix(hiddenWidth))
        }
        last =
            configuration.hiddenWidth.map { hiddenWidth in
                TrainableLinear("classifier.3", inputs: hiddenWidth, outputs: configuration.classes, hasBias: false)
            } ?? TrainableLinear("classifier.1", inputs: width, outputs: configuration.classes)
        gamma = [Float](repeating: 1, count: width)
        beta = [Float](repeating: 0, count: width)
        gammaGradient = beta
        betaGradient = beta
        inverses = [Float](repeating: 0, count: capacity)
        standardized = matrix(width)
        normalized = matrix(width)
        logits = matrix(configuration.classes)
        logitGradient = matrix(configuration.classes)
        inputGradient = matrix(width)
    }

    /// Takes the store's values of `classifier.…`; to be called whenever they have changed.
    public func takeValues(from store: ParameterStore) {
        for i in 0..<width {
            gamma[i] = store.value("classifier.0.weight")[i]
            beta[i] = store.value("classifier.0.bias")[i]
        }
        hiddenLayer?.linear.takeValues(from: store)
        last.takeValues(from: store)
    }

    /// Adds the gradients that have come together since the last call to the store's.
    public func giveGradients(to store: ParameterStore) {
        for i in 0..<width {
            store.gradient("classifier.0.weight")[i] += gammaGradient[i]
            store.gradient("classifier.0.bias")[i] += betaGradient[i]
            gammaGradient[i] = 0
            betaGradient[i] = 0
        }
        hiddenLayer?.linear.giveGradients(to: store)
        last.giveGradients(to: store)
    }

    /// Computes the logits, [batch][classes], of `inputs`, [batch][width], and keeps what the way back needs.
    public func forward(_ inputs: [Float], batch: Int) -> [Float] {
        precondition(batch > 0 && batch <= capacity && inputs.count == batch * width)
        for n in 0..<batch {
            let row = Standardized(inputs[n * width..<(n + 1) * width])
            inverses[n] = Float(row.inverse)
            for (i, value) in row.values.enumerated() {
                standardized[n, i] = value
                normalized[n, i] = value * gamma[i] + beta[i]
            }
        }
        if let hidden = hiddenLayer {
            hidden.linear.layer.forward(normalized, into: hidden.activations, rows: batch, on: workspace)
            hidden.activations.combine(with: hidden.activations, rows: batch) { x, _ in tanh(x) }
        }
        last.layer.forward(hiddenLayer?.activations ?? normalized, into: logits, rows: batch, on: workspace)
        return logits.numbers(rows: batch)
    }

    /// Takes the gradient with respect to the logits of the last `forward`, [batch][classes], back to the inputs': [batch][width].
    public func backward(_ gradients: [Float], batch: Int) -> [Float] {
        gradients.withUnsafeBufferPointer {
            for n in 0..<batch { logitGradient.setRow(n, from: $0.baseAddress! + n * configuration.classes) }
        }
        last.gradient.accumulate(
            hiddenLayer?.activations ?? normalized, yGradient: logitGradient, rows: batch, on: workspace)
        last.gradient.inputGradient(
            logitGradient, into: hiddenLayer?.gradient ?? inputGradient, rows: batch, on: workspace)
        if let hidden = hiddenLayer {
            hidden.gradient.combine(with: hidden.activations, rows: batch) { $0 * (1 - $1 * $1) }
            hidden.linear.gradient.accumulate(normalized, yGradient: hidden.gradient, rows: batch, on: workspace)
            hidden.linear.gradient.inputGradient(hidden.gradient, into: inputGradient, rows: batch, on: workspace)
        }
        var result = [Float](repeating: 0, count: batch * width)
        for n in 0..<batch {
            var (mean, along) = (0.0, 0.0)
            for i in 0..<width {
                let gradient = inputGradient[n, i]
                gammaGradient[i] += gradient * standardized[n, i]
                betaGradient[i] += gradient
                let scaled = gradient * gamma[i]
                result[n * width + i] = scaled
                mean += Double(scaled) / Double(width)
                along += Double(scaled * standardized[n, i]) / Double(width)
            }
            for i in n * width..<(n + 1) * width {
                result[i] = inverses[n] * (result[i] - Float(mean) - standardized[n, i - n * width] * Float(along))
            }
        }
        return result
    }
}
