#if canImport(Glibc)
    import Glibc
#endif

/// A block of floats at an address that suits every kernel: 64-byte aligned, and 2 MiB aligned with huge pages asked
/// for where it is large, since walking packed weights in 4 KiB pages costs several percent in TLB misses.
///
/// Unchecked: the memory may be written through `pointer`. Whoever shares a buffer between threads either only reads it
/// (packed weights) or divides it into parts with one writer each (arenas under a `WorkerPool`).
public final class AlignedBuffer: @unchecked Sendable {
    /// The first float.
    public let pointer: UnsafeMutablePointer<Float>
    /// How many floats there are.
    public let count: Int

    private static let hugePage = 2 << 20

    /// Allocates `count` floats, all zero.
    public init(count: Int) {
        precondition(count >= 0, "a buffer has no negative size")
        let bytes = max(count, 1) * MemoryLayout<Float>.stride
        let isLarge = bytes >= 2 * Self.hugePage
        let alignment = isLarge ? Self.hugePage : 64
        let size = (bytes + alignment - 1) / alignment * alignment
        var raw: UnsafeMutableRawPointer?
        let status = posix_memalign(&raw, alignment, size)
        guard status == 0, let raw else { fatalError("out of memory: \(size) bytes for a tensor buffer") }
        if isLarge { madvise(raw, size, MADV_HUGEPAGE) }
        memset(raw, 0, size)
        pointer = raw.bindMemory(to: Float.self, capacity: count)
        self.count = count
    }

    /// Allocates a copy of `values`.
    public convenience init(_ values: [Float]) {
        self.init(count: values.count)
        values.withUnsafeBufferPointer { source in
            if let base = source.baseAddress { pointer.update(from: base, count: source.count) }
        }
    }

    deinit { free(pointer) }
}
