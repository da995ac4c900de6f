import Tensor

/// A matrix of rows (images, say) in the kernels' form, [columns/16][rows][16], with memory of its own.
///
/// Columns past the last in the last block are zero as long as nothing writes them.
public final class BlockedMatrix {
    /// How many rows there is room for.
    public let rows: Int
    /// How many columns.
    public let columns: Int
    private let buffer: AlignedBuffer

    /// A matrix of zeros.
    public init(rows: Int, columns: Int) {
        self.rows = rows
        self.columns = columns
        buffer = AlignedBuffer(count: rows * FeatureMap.blocks(columns) * channelBlock)
    }

    var pointer: UnsafeMutablePointer<Float> { buffer.pointer }
    var blocks: Int { FeatureMap.blocks(columns) }
    /// Distance from one block of 16 columns to the next.
    var blockStride: Int { rows * channelBlock }

    /// Bytes held.
    public var byteCount: Int { buffer.count * MemoryLayout<Float>.stride }

    /// The number in a row and column.
    @inline(__always)
    public subscript(_ row: Int, _ column: Int) -> Float {
        get { pointer[column / channelBlock * blockStride + row * channelBlock + column % channelBlock] }
        set { pointer[column / channelBlock * blockStride + row * channelBlock + column % channelBlock] = newValue }
    }

    /// Writes a row: `columns` numbers.
    @inline(__always)
    public func setRow(_ row: Int, from numbers: UnsafePointer<Float>) {
        for column in 0..<columns { self[row, column] = numbers[column] }
    }

    /// Copies a row's `columns` numbers.
    @inline(__always)
    public func copyRow(_ row: Int, into numbers: UnsafeMutablePointer<Float>) {
        for column in 0..<columns { numbers[column] = self[row, column] }
    }

    /// The numbers of the first `count` rows, [count][columns].
    public func numbers(rows count: Int) -> [Float] {
        (0..<count).flatMap { row in (0..<columns).map { self[row, $0] } }
    }

    /// Replaces every number by a function of it and of that of `other`, a matrix of the same shape, in the same place.
    public func combine(with other: BlockedMatrix, rows count: Int, _ function: (Float, Float) -> Float) {
        precondition(rows == other.rows && columns == other.columns && count <= rows)
        for column in 0..<columns {
            for row in 0..<count { self[row, column] = function(self[row, column], other[row, column]) }
        }
    }
}
