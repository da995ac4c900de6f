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
    private let ranges: [String: Range<Int>]
    private let valueBuffer: AlignedBuffer
    private let gradientBuffer: AlignedBuffer

    /// Allocates zeros.
    public init(shapes: [ParameterShape]) {
        self.shapes = shapes
        var ranges: [String: Range<Int>] = [:]
        var count = 0
        for shape in shapes {
            ranges[shape.key] = count..<count + shape.count
            count += shape.count
        }
        precondition(ranges.count == shapes.count, "two parameters of the same name")
        self.ranges = ranges
        self.count = count
        valueBuffer = AlignedBuffer(count: count)
        gradientBuffer = AlignedBuffer(count: count)
    }

    /// All values, [count]. After a change the network and the head must take them (`takeValues(from:)`).
    public var values: UnsafeMutablePointer<Float> { valueBuffer.pointer }

    /// All gradients, [count], laid out as `values`.
    public var gradients: UnsafeMutablePointer<Float> { gradientBuffer.pointer }

    /// The values of one parameter.
    public func value(_ key: String) -> UnsafeMutablePointer<Float> { values + range(of: key).lowerBound }

    /// The gradient of one parameter.
    public func gradient(_ key: String) -> UnsafeMutablePointer<Float> { gradients + range(of: key).lowerBound }

    /// Where in `values` the parameters lie whose keys `isWanted` accepts; ascending, neighbours joined.
    public func ranges(where isWanted: (String) -> Bool) -> [Range<Int>] {
        var ranges: [Range<Int>] = []
        for shape in shapes where isWanted(shape.key) {
            let range = range(of: shape.key)
            if let last = ranges.last, last.upperBound == range.lowerBound {
                ranges[ranges.count - 1] = last.lowerBound..<range.upperBound
            } else {
                ranges.append(range)
            }
        }
        return ranges
    }

    /// Sets every gradient to zero.
    public func clearGradients() { gradients.update(repeating: 0, count: count) }

    /// Bytes held.
    public var byteCount: Int { 2 * count * MemoryLayout<Float>.stride }

    /// Where in `values` a parameter lies.
    public func range(of key: String) -> Range<Int> {
        guard let range = ranges[key] else { preconditionFailure("there is no parameter \(key)") }
        return range
    }

    /// The numbers that `memory`, laid out as `values`, has for a parameter.
    public func numbers(of key: String, in memory: UnsafePointer<Float>) -> [Float] {
        let range = range(of: key)
        return Array(UnsafeBufferPointer(start: memory + range.lowerBound, count: range.count))
    }
}
