import UntrustedText

/// A tensor's name, element type and shape, whose size doesn't overflow.
public struct TensorDescription: Sendable, Equatable {
    /// The most dimensions that a tensor may have.
    public static let highestRank = 16

    /// The tensor's name.
    public let name: String
    /// How its numbers are stored.
    public let type: ElementType
    /// Its extents, outermost first, row-major; empty for a single number.
    public let shape: [Int]
    /// How many numbers it holds.
    public let count: Int
    /// How many bytes its numbers take.
    public let byteCount: Int

    /// Describes a tensor.
    ///
    /// - Throws: `CheckpointError` of kind `malformed` if an extent is negative, there are too many, or their product
    ///   overflows.
    public init(name: String, type: ElementType, shape: [Int]) throws(CheckpointError) {
        guard let count = elementCount(shape),
            case let (byteCount, overflow) = count.multipliedReportingOverflow(by: type.byteCount), !overflow
        else {
            throw CheckpointError(.malformed, "tensor \(quoted(name)) has the impossible shape \(shape.prefix(20))")
        }
        self.name = name
        self.type = type
        self.shape = shape
        self.count = count
        self.byteCount = byteCount
    }
}

/// The product of a shape's extents; nil if one is negative, there are more than `TensorDescription.highestRank`, or the
/// product overflows (a zero elsewhere doesn't excuse that).
func elementCount(_ shape: [Int]) -> Int? {
    guard shape.count <= TensorDescription.highestRank else { return nil }
    var nonzero = 1
    for extent in shape {
        guard extent >= 0, case let (product, overflow) = nonzero.multipliedReportingOverflow(by: max(extent, 1)),
            !overflow
        else { return nil }
        nonzero = product
    }
    return shape.contains(0) ? 0 : nonzero
}
