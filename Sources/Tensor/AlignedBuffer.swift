import Glibc

/// A block of floats at an address that suits every kernel: 64-byte aligned, and 2 MiB aligned with huge pages asked
/// for where it is large, since walking packed weights in 4 KiB pages costs several percent in TLB misses.
///
/// From 64 KiB on it is a mapping of its own. From malloc, a service that changes its model under load would come to hold
/// up to half as much again: what requests allocate lies between the weights and keeps their pages.
///
/// Unchecked: the memory may be written through `pointer`. Threads that share a buffer either only read it
/// (packed weights) or divide it into parts with one writer each (arenas under a `WorkerPool`).
public final class AlignedBuffer: @unchecked Sendable {
    /// The first float.
    public let pointer: UnsafeMutablePointer<Float>
    /// How many floats there are.
    public let count: Int

    /// Bytes mapped, 0 for memory from malloc.
    private let mappedBytes: Int

    private static let hugePage = 2 << 20
    private static let smallestMapping = 64 << 10

    /// Bytes of memory that a buffer of `count` floats takes.
    public static func byteCount(count: Int) -> Int {
        let alignment = alignment(count: count)
        return (bytes(count) + alignment - 1) / alignment * alignment
    }

    private static func bytes(_ count: Int) -> Int { max(count, 1) * MemoryLayout<Float>.stride }

    private static func alignment(count: Int) -> Int {
        let bytes = bytes(count)
        return bytes >= 2 * hugePage ? hugePage : bytes >= smallestMapping ? Int(getpagesize()) : 64
    }

    /// Allocates `count` floats, all zero.
    public init(count: Int) {
        precondition(count >= 0, "a buffer has no negative size")
        let alignment = Self.alignment(count: count)
        let size = Self.byteCount(count: count)
        let isLarge = alignment == Self.hugePage
        mappedBytes = size >= Self.smallestMapping ? size : 0
        guard let raw = mappedBytes > 0 ? Self.map(size, alignment) : Self.allocate(size, alignment) else {
            fatalError("out of memory: \(size) bytes for a tensor buffer")
        }
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

    deinit {
        if mappedBytes > 0 { munmap(pointer, mappedBytes) } else { free(pointer) }
    }

    private static func allocate(_ size: Int, _ alignment: Int) -> UnsafeMutableRawPointer? {
        var raw: UnsafeMutableRawPointer?
        return posix_memalign(&raw, alignment, size) == 0 ? raw : nil
    }

    /// Maps `size` bytes at a multiple of `alignment`, which both are multiples of a page.
    private static func map(_ size: Int, _ alignment: Int) -> UnsafeMutableRawPointer? {
        // The kernel aligns to pages only: what is too much before and after goes back.
        let slack = alignment - Int(getpagesize())
        let start = mmap(nil, size + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        guard let start, start != MAP_FAILED else { return nil }
        let before = (alignment - Int(bitPattern: start) % alignment) % alignment
        if before > 0 { munmap(start, before) }
        if slack > before { munmap(start + before + size, slack - before) }
        return start + before
    }
}
