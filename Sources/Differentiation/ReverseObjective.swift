import FlowModel
import Glibc
import Tensor

/// The loss of reverse fine-tuning (PRG, section 6): cross-entropy with smoothed labels on the logits of the head after
/// Euler steps of the reverse pass, differentiated through every step by the network's parameters and the head's.
///
/// A step from x to x' passes a gradient g by x' on as (1 + h·a)·g + c·Jᵀ(h·b·g), J being the network's Jacobian.
///
/// Only the states between the steps are kept; each step's activations are computed again when the gradient passes it, so
/// memory doesn't grow with the number of steps but by three numbers a pixel.
public final class ReverseObjective {
    private let network: TrainableNetwork
    private let head: TrainableHead
    private let pass: EulerPass
    private let smoothing: Float
    private let gradientSteps: Int
    /// [steps + 1][capacity][3][side][side].
    private let states: AlignedBuffer
    private var outputs: [Float]
    private var gradient: [Float]

    /// What a batch gave, or some of its images.
    public struct Outcome: Sendable, Equatable {
        /// The mean loss, or the images' share in it.
        public let loss: Double
        /// How many images' greatest logit was their label's.
        public let correct: Int
    }

    /// Differentiates the loss at the end of `pass`.
    /// - Parameters:
    ///   - smoothing: the weight of the uniform distribution in the target, 0..<1.
    ///   - gradientSteps: through how many of the steps, from the last, the gradient is taken; the state before them counts
    ///     as given (truncated backpropagation, Williams and Peng 1990). All of them if nil, as in the paper.
    public init(
        _ network: TrainableNetwork, head: TrainableHead, pass: EulerPass, smoothing: Float, gradientSteps: Int? = nil
    ) {
        self.pass = pass
        self.gradientSteps = gradientSteps ?? pass.steps.count
        precondition((0..<1).contains(smoothing) && (0...pass.steps.count).contains(self.gradientSteps))
        self.network = network
        self.head = head
        self.smoothing = smoothing
        let count = network.capacity * network.stateCount
        states = AlignedBuffer(count: (pass.steps.count + 1) * count)
        outputs = [Float](repeating: 0, count: count)
        gradient = outputs
    }

    /// Keys of the parameters that gradients reach: all if they are taken back through a step; else the head's own and those
    /// that the activations at its place depend on.
    public var keysReached: Set<String> {
        let program = network.program
        var parameters = head.configuration.parameters(on: program)
        if gradientSteps > 0 {
            parameters += program.parameters
        } else if let place = head.configuration.place {
            parameters += program.parameters(through: place.place)
        }
        return Set(parameters.map(\.key))
    }

    /// The loss of a batch of any size, or the share that some of its images have in it; its gradients add up in the network
    /// and in the head.
    /// - Parameters:
    ///   - images: [labels.count][3][side][side].
    ///   - labels: of each image, less than the head's classes.
    ///   - imageGradients: receives the gradient with respect to `images`, which takes the gradient through every step; nil if it
    ///     isn't wanted.
    ///   - total: images of the whole batch; nil if these are all.
    public func differentiate(
        images: UnsafePointer<Float>, labels: [Int], of total: Int? = nil,
        imageGradients: UnsafeMutablePointer<Float>? = nil
    ) -> Outcome {
        let total = total ?? labels.count
        precondition(labels.allSatisfy { (0..<head.configuration.classes).contains($0) })
        precondition(imageGradients == nil || gradientSteps == pass.steps.count)
        let size = network.stateCount
        var loss = 0.0
        var correct = 0
        for first in stride(from: 0, to: labels.count, by: network.capacity) {
            let part = Array(labels[first..<min(first + network.capacity, labels.count)])
            integrate(images + first * size, batch: part.count)
            let found = head.differentiate(
                headInputs(batch: part.count), labels: part, smoothing: smoothing, total: total)
            loss += found.loss
            correct += found.correct
            takeBackHead(found.inputGradients, batch: part.count)
            takeBack(batch: part.count, wantsImages: imageGradients != nil)
            guard let imageGradients else { continue }
            for i in 0..<(part.count * size) { imageGradients[first * size + i] = pass.imageScale * gradient[i] }
        }
        return Outcome(loss: loss / Double(total), correct: correct)
    }

    private func state(_ k: Int) -> UnsafeMutablePointer<Float> {
        states.pointer + k * network.capacity * network.stateCount
    }

    private func integrate(_ images: UnsafePointer<Float>, batch: Int) {
        let count = batch * network.stateCount
        let first = state(0)
        for i in 0..<count { first[i] = pass.imageScale * images[i] }
        for (k, step) in pass.steps.enumerated() {
            evaluate(step, at: k, batch: batch)
            let (from, to) = (state(k), state(k + 1))
            for i in 0..<count { to[i] = step.stateFactor * from[i] + step.outputFactor * outputs[i] }
        }
    }

    private func evaluate(_ step: EulerStep, at k: Int, batch: Int) {
        let times = [Float](repeating: step.time, count: batch)
        network.forward(state(k), scale: step.inputScale, times: times[...], outputs: &outputs)
    }

    /// What the head reads of the last states: [batch][head.width].
    private func headInputs(batch: Int) -> [Float] {
        let last = state(pass.steps.count)
        if let place = head.configuration.place {
            let times = [Float](repeating: pass.stopTime, count: batch)
            return network.forward(last, scale: pass.stopInputScale, times: times[...], to: place)
        }
        let (side, size) = (network.program.side, network.stateCount)
        return (0..<batch).flatMap { n in
            let planes = UnsafeBufferPointer(start: last + n * size, count: size).map { pass.stopUnit * $0 }
            return AveragePool.pool(planes, side: side, to: head.configuration.pooledSize)
        }
    }

    /// From the gradient with respect to what the head reads, [batch][head.width], to that with respect to the last states.
    private func takeBackHead(_ inputGradients: [Float], batch: Int) {
        if let place = head.configuration.place {
            let isWanted = gradientSteps > 0
            gradient.withUnsafeMutableBufferPointer {
                network.backward(
                    inputGradients, from: place, batch: batch, inputGradients: isWanted ? $0.baseAddress : nil)
            }
            if isWanted { scaleGradient(by: pass.stopInputScale, batch: batch) }
            return
        }
        let (side, size) = (network.program.side, network.stateCount)
        gradient.withUnsafeMutableBufferPointer { planes in
            for n in 0..<batch {
                AveragePool.spread(
                    Array(inputGradients[n * head.width..<(n + 1) * head.width]), from: head.configuration.pooledSize,
                    side: side, into: planes.baseAddress! + n * size)
            }
        }
        scaleGradient(by: pass.stopUnit, batch: batch)
    }

    private func scaleGradient(by factor: Float, batch: Int) {
        guard factor != 1 else { return }
        for i in 0..<(batch * network.stateCount) { gradient[i] *= factor }
    }

    /// From the gradient with respect to the last state to that with respect to the first that it is wanted of.
    private func takeBack(batch: Int, wantsImages: Bool) {
        let count = batch * network.stateCount
        var share = [Float](repeating: 0, count: count)
        let given = pass.steps.count - gradientSteps
        for (k, step) in pass.steps.enumerated().dropFirst(given).reversed() {
            // The last step's activations are still there, unless the head needed others.
            if k < pass.steps.count - 1 || head.configuration.place != nil { evaluate(step, at: k, batch: batch) }
            for i in 0..<count { outputs[i] = step.outputFactor * gradient[i] }
            let wanted = k > given || wantsImages
            share.withUnsafeMutableBufferPointer {
                network.backward(outputs, batch: batch, inputGradients: wanted ? $0.baseAddress : nil)
            }
            if wanted {
                for i in 0..<count { gradient[i] = step.stateFactor * gradient[i] + step.inputScale * share[i] }
            }
        }
    }
}

extension TrainableHead {
    /// Takes the cross-entropy of some of a batch of `total` images forth and back.
    ///
    /// - Parameter inputs: [labels.count][width].
    /// - Returns: the sum of their losses, how many images' greatest logit was their label's, and the gradient with respect to
    ///   the inputs.
    func differentiate(
        _ inputs: [Float], labels: [Int], smoothing: Float, total: Int
    ) -> (loss: Double, correct: Int, inputGradients: [Float]) {
        let classes = configuration.classes
        let logits = forward(inputs, batch: labels.count)
        var gradients = logits
        var loss = 0.0
        var correct = 0
        for (n, label) in labels.enumerated() {
            let row = SmoothedCrossEntropy(
                logits[(n * classes)..<((n + 1) * classes)], label: label, smoothing: smoothing)
            loss += row.loss
            correct += row.isCorrect ? 1 : 0
            for (c, value) in row.gradient.enumerated() { gradients[n * classes + c] = value / Float(total) }
        }
        return (loss, correct, backward(gradients, batch: labels.count))
    }
}

/// The cross-entropy of one image's logits with a smoothed label, and its gradient.
struct SmoothedCrossEntropy {
    let loss: Double
    let gradient: [Float]
    let isCorrect: Bool

    init(_ logits: ArraySlice<Float>, label: Int, smoothing: Float) {
        let values = logits.map(Double.init)
        let greatest = values.max()!
        let logarithm = log(values.reduce(0) { $0 + exp($1 - greatest) }) + greatest
        let uniform = Double(smoothing) / Double(values.count)
        var loss = 0.0
        gradient = values.enumerated().map { c, value in
            let target = uniform + (c == label ? 1 - Double(smoothing) : 0)
            loss -= target * (value - logarithm)
            return Float(exp(value - logarithm) - target)
        }
        self.loss = loss
        isCorrect = values.firstIndex(of: greatest) == label
    }
}
