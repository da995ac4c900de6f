/// A tensor in double, row-major, with the gradient of a loss by it.
public final class Variable {
    /// Extents, outermost first.
    public let shape: [Int]
    /// The numbers.
    public var value: [Double]
    /// The derivative of what `Tape.differentiate` was given by each number.
    public var gradient: [Double]

    /// Wraps numbers.
    public init(_ value: [Double], shape: [Int]) {
        precondition(value.count == shape.reduce(1, *))
        self.shape = shape
        self.value = value
        gradient = [Double](repeating: 0, count: value.count)
    }

    /// Zeros.
    public convenience init(shape: [Int]) {
        self.init([Double](repeating: 0, count: shape.reduce(1, *)), shape: shape)
    }
}

/// The operations of a computation in the order they ran, each as the function that adds its inputs' gradients given its
/// output's: reverse-mode differentiation at its plainest.
public final class Tape {
    private var pullbacks: [() -> Void] = []

    /// An empty tape.
    public init() {}

    /// Notes what is to be done on the way back.
    public func record(_ pullback: @escaping () -> Void) { pullbacks.append(pullback) }

    /// Adds to every variable's gradient the derivative of `Σ seed·result` by it.
    public func differentiate(_ result: Variable, seed: [Double]) {
        for i in seed.indices { result.gradient[i] += seed[i] }
        for pullback in pullbacks.reversed() { pullback() }
    }

    /// A new variable of `shape`: `forward` fills its value, `backward` reads its gradient.
    func result(
        _ shape: [Int], forward: (inout [Double]) -> Void, backward: @escaping (_ gradient: [Double]) -> Void
    ) -> Variable {
        let result = Variable(shape: shape)
        forward(&result.value)
        record { [unowned result] in backward(result.gradient) }
        results.append(result)
        return result
    }

    /// Kept alive for the way back.
    private var results: [Variable] = []
}
