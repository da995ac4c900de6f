public import FlowModel

/// One explicit Euler step of size h along dx/ds = a·x + b·F(c·x, τ): x ← (1 + h·a)·x + h·b·F(c·x, τ).
public struct EulerStep: Sendable, Equatable {
    /// The time label τ that the network is shown.
    public let time: Float
    /// c, the factor of the state in the network's input.
    public let inputScale: Float
    /// 1 + h·a, the factor of the state in the next one.
    public let stateFactor: Float
    /// h·b, the factor of the network's output in the next state.
    public let outputFactor: Float

    /// A step of signed size h where the network is the velocity itself; h is negative where the reverse pass runs against the
    /// velocity.
    public init(time: Float, size: Float) {
        self.init(at: FlowPoint(a: 0, b: 1, c: 1, label: Double(time)), size: size)
    }

    /// A step of signed size h from a point of a flow.
    public init(at point: FlowPoint, size: Float) {
        time = Float(point.label)
        inputScale = Float(point.c)
        stateFactor = Float(1 + Double(size) * point.a)
        outputFactor = Float(Double(size) * point.b)
    }
}

/// The reverse pass by Euler's method, from an image to where the head reads.
public struct EulerPass: Sendable, Equatable {
    /// What an image is multiplied by to be the first state.
    public var imageScale: Float
    /// The steps in the order in which they are taken.
    public var steps: [EulerStep]
    /// The time label that the network is shown where the head reads its activations.
    public var stopTime: Float
    /// The factor of the last state in the network's input there.
    public var stopInputScale: Float
    /// What the last state is multiplied by before the head pools it.
    public var stopUnit: Float

    /// Describes a pass. The factors that aren't given are those of a flow whose network is the velocity.
    public init(
        steps: [EulerStep], stopTime: Float, imageScale: Float = 1, stopInputScale: Float = 1, stopUnit: Float = 1
    ) {
        self.imageScale = imageScale
        self.steps = steps
        self.stopTime = stopTime
        self.stopInputScale = stopInputScale
        self.stopUnit = stopUnit
    }
}
