import UntrustedText

/// The block of numbers behind one or more PyTorch tensors: an entry of the archive.
public struct PyTorchStorage: Sendable, Equatable {
    /// The entry's name after `data/`.
    public let key: String
    /// The numbers' type; nil for a storage of bytes, whose tensors say what is in it.
    public let type: ElementType?
    /// How many numbers, or bytes if `type` is nil, the pickle claims.
    public let count: Int
}

/// A tensor as the pickle describes it: a strided view of a storage. What it claims is checked by `layout()`.
public struct PyTorchTensor: Sendable, Equatable {
    /// Where the numbers are.
    public let storage: PyTorchStorage
    /// The numbers' type.
    public let type: ElementType
    /// The first number's place in the storage, counted in numbers.
    public let offset: Int
    /// Extents, outermost first.
    public let shape: [Int]
    /// The distance, in numbers, to the next number along each dimension.
    public let strides: [Int]

    /// A view that is known to stay inside its storage.
    struct Layout: Equatable {
        let count: Int
        let storageByteCount: Int
        /// Whether the numbers lie one after another, row-major.
        let isContiguous: Bool
    }

    /// Checks that every number of the view is in its storage, and that it has no more numbers than the storage. So a small file
    /// can't ask for a huge tensor by repeating numbers (a stride of 0, as `expand` gives).
    ///
    /// - Throws: `CheckpointError` of kind `malformed`.
    func layout() throws(CheckpointError) -> Layout {
        func refused(_ problem: String) -> CheckpointError {
            CheckpointError(
                .malformed,
                "shape \(shape.prefix(20)), strides \(strides.prefix(20)) and offset \(offset) in storage "
                    + "\(quoted(storage.key)) of \(storage.count): \(problem)")
        }
        let (storageByteCount, overflow) = storage.count.multipliedReportingOverflow(by: storage.type?.byteCount ?? 1)
        guard storage.count >= 0, !overflow else { throw refused("the storage's size is impossible") }
        guard shape.count == strides.count, let count = elementCount(shape), offset >= 0,
            strides.allSatisfy({ $0 >= 0 })
        else { throw refused("the numbers are negative, too large, or differ in count") }
        let capacity = storageByteCount / type.byteCount
        guard count <= capacity else { throw refused("the view has more numbers than the storage") }
        if count > 0 {
            guard let last = lastIndex(), last < capacity else { throw refused("the view reaches out of the storage") }
        }
        return Layout(count: count, storageByteCount: storageByteCount, isContiguous: isContiguous)
    }

    /// The storage index of the view's last number; nil if it overflows. Extents must be positive.
    private func lastIndex() -> Int? {
        var last = offset
        for (extent, stride) in zip(shape, strides) {
            let (distance, overflowed) = (extent - 1).multipliedReportingOverflow(by: stride)
            let (sum, carried) = last.addingReportingOverflow(distance)
            guard !overflowed, !carried else { return nil }
            last = sum
        }
        return last
    }

    /// Whether the strides are those of row-major order; the stride along an extent of 1 doesn't matter.
    private var isContiguous: Bool {
        var expected = 1
        for (extent, stride) in zip(shape, strides).reversed() where extent != 1 {
            guard stride == expected else { return false }
            expected *= extent
        }
        return true
    }

    /// Copies the view's numbers out of its storage, row-major.
    ///
    /// - Parameters:
    ///   - layout: what `layout()` gave.
    ///   - bytes: the whole storage; as long as `layout` says.
    func gather(_ layout: Layout, from bytes: [UInt8]) -> [UInt8] {
        precondition(bytes.count == layout.storageByteCount)
        let width = type.byteCount
        guard layout.count > 0 else { return [] }
        guard !layout.isContiguous else { return Array(bytes[offset * width..<(offset + layout.count) * width]) }
        var gathered: [UInt8] = []
        gathered.reserveCapacity(layout.count * width)
        var position = Array(repeating: 0, count: shape.count)
        var source = offset
        while gathered.count < layout.count * width {
            gathered += bytes[source * width..<(source + 1) * width]
            // The odometer: step the innermost dimension, carrying outwards.
            for dimension in shape.indices.reversed() {
                if position[dimension] + 1 < shape[dimension] {
                    position[dimension] += 1
                    source += strides[dimension]
                    break
                }
                source -= position[dimension] * strides[dimension]
                position[dimension] = 0
            }
        }
        return gathered
    }
}
