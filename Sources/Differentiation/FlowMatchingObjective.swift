/// The loss of pretraining (PRG, section 6): ½‖v(t, x_t) − u‖² summed over channels, averaged over images and pixels.
public final class FlowMatchingObjective {
    private let network: TrainableNetwork
    private let weight: Float
    private var velocities: [Float]

    /// Differentiates by the parameters of `network`.
    ///
    /// - Parameter weight: what gradients are multiplied by, for a loss that is one of several.
    public init(_ network: TrainableNetwork, weight: Float = 1) {
        self.network = network
        self.weight = weight
        velocities = [Float](repeating: 0, count: network.capacity * network.stateCount)
    }

    /// The loss of a batch of any size, or the share that some of its images have in it; its gradients add up in the network.
    /// - Parameters:
    ///   - states: x_t, [times.count][3][side][side].
    ///   - times: t of each image.
    ///   - targets: the path's velocities u, as `states`.
    ///   - total: images of the whole batch; nil if these are all.
    public func differentiate(
        states: UnsafePointer<Float>, times: [Float], targets: UnsafePointer<Float>, of total: Int? = nil
    ) -> Double {
        evaluate(states: states, times: times, targets: targets, total: total ?? times.count, takesBack: true)
    }

    /// The loss alone of a batch of any size.
    public func loss(states: UnsafePointer<Float>, times: [Float], targets: UnsafePointer<Float>) -> Double {
        evaluate(states: states, times: times, targets: targets, total: times.count, takesBack: false)
    }

    private func evaluate(
        states: UnsafePointer<Float>, times: [Float], targets: UnsafePointer<Float>, total: Int, takesBack: Bool
    ) -> Double {
        let size = network.stateCount
        let scale = weight * 3 / Float(total * size)
        var loss = 0.0
        for first in stride(from: 0, to: times.count, by: network.capacity) {
            let part = times[first..<min(first + network.capacity, times.count)]
            network.forward(states + first * size, times: part, outputs: &velocities)
            let target = targets + first * size
            // Each image's sum in f32 would lose digits that a small difference of losses needs.
            for i in 0..<(part.count * size) {
                let difference = velocities[i] - target[i]
                loss += 0.5 * Double(difference) * Double(difference)
                velocities[i] = scale * difference
            }
            if takesBack { network.backward(velocities, batch: part.count, inputGradients: nil) }
        }
        return loss * 3 / Double(total * size)
    }
}
