/// A learned tensor's name and shape.
public struct ParameterShape: Sendable, Equatable {
    /// The tensor's name, such as `input_blocks.0.0.weight`.
    public let key: String
    /// Its extents, outermost first, as PyTorch lays the tensor out (convolutions are [out, in, height, width]).
    public let shape: [Int]

    /// Names a tensor.
    public init(key: String, shape: [Int]) {
        self.key = key
        self.shape = shape
    }

    /// How many numbers the tensor holds.
    public var count: Int { shape.reduce(1, *) }

    /// A weight and the bias that goes with it: one number for each of the weight's outermost extent.
    public static func affine(_ key: String, _ weightShape: [Int]) -> [ParameterShape] {
        [
            ParameterShape(key: key + ".weight", shape: weightShape),
            ParameterShape(key: key + ".bias", shape: [weightShape[0]]),
        ]
    }
}

/// Gives a named parameter's numbers, row-major as PyTorch keeps them.
public typealias ParameterSource = (_ key: String) throws -> [Float]
