import Tensor

#if canImport(Glibc)
    import Glibc
#endif

/// The loss of reverse fine-tuning (PRG, section 6): cross-entropy with smoothed labels on the logits of the head after
/// Euler steps of the reverse pass, differentiated through every step by the network's parameters and the head's.
///
/// Only the states between the steps are kept; each step's activations are computed again when the gradient passes it, so
/// memory doesn't grow with the number of steps but by three numbers a pixel.
public final class ReverseObjective {
    private let network: TrainableNetwork
    private let head: TrainableHead
    private let steps: [EulerStep]
    private let smoothing: Float
    /// [steps + 1][capacity][3][side][side].
    private let states: AlignedBuffer
    private var velocities: [Float]
    private var gradient: [Float]

    /// What a batch gave.
    public struct Outcome: Sendable, Equatable {
        /// The mean loss.
        public let loss: Double
        /// How many images' greatest logit was their label's.
        public let correct: Int
    }

    /// Differentiates the loss after `steps`. `smoothing` is the weight of the uniform distribution in the target, 0..<1.
    public init(_ network: TrainableNetwork, head: TrainableHead, steps: [EulerStep], smoothing: Float) {
        precondition((0..<1).contains(smoothing))
        self.network = network
        self.head = head
        self.steps = steps
        self.smoothing = smoothing
        let count = network.capacity * network.stateCount
        states = AlignedBuffer(count: (steps.count + 1) * count)
        velocities = [Float](repeating: 0, count: count)
        gradient = velocities
    }

    /// The loss of a batch of any size; its gradients add up in the network and in the head.
    /// - Parameters:
    ///   - images: [labels.count][3][side][side].
    ///   - labels: of each image, less than the head's classes.
    ///   - imageGradients: receives the gradient by `images`; nil if nobody wants it.
    public func differentiate(
        images: UnsafePointer<Float>, labels: [Int], imageGradients: UnsafeMutablePointer<Float>? = nil
    ) -> Outcome {
        precondition(labels.allSatisfy { (0..<head.configuration.classes).contains($0) })
        let size = network.stateCount
        var loss = 0.0
        var correct = 0
        for first in stride(from: 0, to: labels.count, by: network.capacity) {
            let part = Array(labels[first..<min(first + network.capacity, labels.count)])
            integrate(images + first * size, batch: part.count)
            let logits = head.forward(state(steps.count), batch: part.count)
            var logitGradients = logits
            for (n, label) in part.enumerated() {
                let row = SmoothedCrossEntropy(
                    logits[(n * head.configuration.classes)..<((n + 1) * head.configuration.classes)], label: label,
                    smoothing: smoothing)
                loss += row.loss
                correct += row.isCorrect ? 1 : 0
                for (c, value) in row.gradient.enumerated() {
                    logitGradients[n * head.configuration.classes + c] = value / Float(labels.count)
                }
            }
            head.backward(logitGradients, batch: part.count, stateGradients: &gradient)
            takeBack(batch: part.count, wantsImages: imageGradients != nil)
            imageGradients.map { ($0 + first * size).update(from: gradient, count: part.count * size) }
        }
        return Outcome(loss: loss / Double(labels.count), correct: correct)
    }

    private func state(_ k: Int) -> UnsafeMutablePointer<Float> {
        states.pointer + k * network.capacity * network.stateCount
    }

    private func integrate(_ images: UnsafePointer<Float>, batch: Int) {
        let count = batch * network.stateCount
        state(0).update(from: images, count: count)
        for (k, step) in steps.enumerated() {
            let times = [Float](repeating: step.time, count: batch)
            network.forward(state(k), times: times[...], velocities: &velocities)
            let (from, to) = (state(k), state(k + 1))
            for i in 0..<count { to[i] = from[i] + step.size * velocities[i] }
        }
    }

    /// From the gradient by the last state to that by the first.
    private func takeBack(batch: Int, wantsImages: Bool) {
        let count = batch * network.stateCount
        var share = [Float](repeating: 0, count: count)
        for (k, step) in steps.enumerated().reversed() {
            // The last step's activations are still there.
            if k < steps.count - 1 {
                let times = [Float](repeating: step.time, count: batch)
                network.forward(state(k), times: times[...], velocities: &velocities)
            }
            for i in 0..<count { velocities[i] = step.size * gradient[i] }
            let wanted = k > 0 || wantsImages
            share.withUnsafeMutableBufferPointer {
                network.backward(velocities, batch: batch, stateGradients: wanted ? $0.baseAddress : nil)
            }
            if wanted { for i in 0..<count { gradient[i] += share[i] } }
        }
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
