/// A learned tensor's name and shape.
public struct ParameterShape: Sendable, Equatable {
    /// The tensor's name, such as `input_blocks.0.0.weight`.
    public let key: String
    /// Its extents, outermost first, as PyTorch lays the tensor out (convolutions are [out, in, height, width]).
    public let shape: [Int]
    /// Whether training begins with zeros here, so that a block begins as the identity and the velocity as nothing.
    public let startsAtZero: Bool

    /// Names a tensor.
    public init(key: String, shape: [Int], startsAtZero: Bool = false) {
        self.key = key
        self.shape = shape
        self.startsAtZero = startsAtZero
    }

    /// How many numbers the tensor holds.
    public var count: Int { shape.reduce(1, *) }

    /// A weight and the bias that goes with it: one number for each of the weight's outermost extent.
    public static func affine(_ key: String, _ weightShape: [Int], startsAtZero: Bool = false) -> [ParameterShape] {
        [
            ParameterShape(key: key + ".weight", shape: weightShape, startsAtZero: startsAtZero),
            ParameterShape(key: key + ".bias", shape: [weightShape[0]], startsAtZero: startsAtZero),
        ]
    }
}

/// Gives a named parameter's numbers, row-major as PyTorch keeps them.
public typealias ParameterSource = (_ key: String) throws -> [Float]
