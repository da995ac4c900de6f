public import Networks
import Tensor

/// Named parameters and their gradients, each in one flat row-major piece of memory, as an optimizer wants them.
///
/// Not for use by two threads at a time.
public final class ParameterStore {
    /// Names and shapes in the order in which they lie.
    public let shapes: [ParameterShape]
    /// How many numbers there are in all.
    public let count: Int
    private let offsets: [String: Int]
    private let valueBuffer: AlignedBuffer
    private let gradientBuffer: AlignedBuffer

    /// Allocates zeros.
    public init(shapes: [ParameterShape]) {
        self.shapes = shapes
        var offsets: [String: Int] = [:]
        var count = 0
        for shape in shapes {
            offsets[shape.key] = count
            count += shape.count
        }
        precondition(offsets.count == shapes.count, "two parameters of the same name")
        self.offsets = offsets
        self.count = count
        valueBuffer = AlignedBuffer(count: count)
        gradientBuffer = AlignedBuffer(count: count)
    }

    /// All values, [count]. After a change the network and the head must take them (`takeValues(from:)`).
    public var values: UnsafeMutablePointer<Float> { valueBuffer.pointer }

    /// All gradients, [count], laid out as `values`.
    public var gradients: UnsafeMutablePointer<Float> { gradientBuffer.pointer }

    /// The values of one parameter.
    public func value(_ key: String) -> UnsafeMutablePointer<Float> { values + offset(key) }

    /// The gradient of one parameter.
    public func gradient(_ key: String) -> UnsafeMutablePointer<Float> { gradients + offset(key) }

    /// Where in `values` the parameters lie whose keys `isWanted` accepts; ascending, neighbours joined.
    public func ranges(where isWanted: (String) -> Bool) -> [Range<Int>] {
        var ranges: [Range<Int>] = []
        for shape in shapes where isWanted(shape.key) {
            let start = offset(shape.key)
            if let last = ranges.last, last.upperBound == start {
                ranges[ranges.count - 1] = last.lowerBound..<start + shape.count
            } else {
                ranges.append(start..<start + shape.count)
            }
        }
        return ranges
    }

    /// Sets every gradient to zero.
    public func clearGradients() { gradients.update(repeating: 0, count: count) }

    /// Bytes held.
    public var byteCount: Int { 2 * count * MemoryLayout<Float>.stride }

    private func offset(_ key: String) -> Int {
        guard let offset = offsets[key] else { preconditionFailure("there is no parameter \(key)") }
        return offset
    }
}
