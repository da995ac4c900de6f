/// One explicit Euler step: state ← state + size·v(time, state).
public struct EulerStep: Sendable, Equatable {
    /// The time that the network is shown.
    public let time: Float
    /// The step's signed size; negative where the reverse pass runs against the velocity.
    public let size: Float

    /// Describes a step.
    public init(time: Float, size: Float) {
        self.time = time
        self.size = size
    }
}
