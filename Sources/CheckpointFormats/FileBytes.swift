import Digests
import Files
import Glibc
import Synchronization

/// The bytes of a file, or of memory that is never freed: in memory, or on the disk until they are needed.
final class FileBytes: Sendable {
    private enum Place {
        case allocated(UnsafeRawBufferPointer)
        case borrowed(UnsafeRawBufferPointer)
        case disk(RegularFile)
    }

    /// The most bytes that are read into memory.
    static let largestLoad = 64 << 30

    let count: Int

    // Immutable memory that only `deinit` frees, so sharing the pointer between threads is safe. The compiler can't know that of
    // a pointer.
    nonisolated(unsafe) private let place: Place
    private let digest = Mutex<SHA256.Digest?>(nil)

    private init(_ place: Place, count: Int) {
        self.place = place
        self.count = count
    }

    deinit {
        switch place {
        case .allocated(let bytes): free(UnsafeMutableRawPointer(mutating: bytes.baseAddress))
        case .borrowed, .disk: break
        }
    }

    /// Calls `body` with the bytes of a range within `count`. They are valid only during the call.
    ///
    /// - Throws: `FileError` if they are on the disk and can't be read, `CheckpointError` if there is no memory for them; and
    ///   what `body` throws.
    func withUnsafeBytes<R>(in range: Range<Int>, _ body: (UnsafeRawBufferPointer) throws -> R) throws -> R {
        switch place {
        case .allocated(let bytes), .borrowed(let bytes):
            return try withExtendedLifetime(self) { try body(UnsafeRawBufferPointer(rebasing: bytes[range])) }
        case .disk(let file):
            let buffer = try Self.allocate(range.count)
            defer { free(buffer.baseAddress) }
            try file.read(into: buffer, at: range.lowerBound)
            return try body(UnsafeRawBufferPointer(buffer))
        }
    }

    /// The SHA-256 digest, computed when it is first needed.
    ///
    /// - Throws: `FileError` if the bytes are on the disk and can't be read.
    var sha256: SHA256.Digest {
        get throws {
            try digest.withLock { known in
                if let known { return known }
                let piece = if case .disk = place { 1 << 20 } else { max(count, 1) }
                var hash = SHA256()
                for start in stride(from: 0, to: count, by: piece) {
                    try withUnsafeBytes(in: start..<min(start + piece, count)) { hash.update($0) }
                }
                let computed = hash.finalize()
                known = computed
                return computed
            }
        }
    }

    /// Memory that is never freed or changed, such as a constant of the executable.
    static func borrowing(_ bytes: UnsafeRawBufferPointer) -> FileBytes {
        FileBytes(.borrowed(bytes), count: bytes.count)
    }

    static func copying(_ bytes: [UInt8]) throws -> FileBytes {
        let buffer = try allocate(bytes.count)
        buffer.copyBytes(from: bytes)
        return FileBytes(.allocated(UnsafeRawBufferPointer(buffer)), count: bytes.count)
    }

    /// A file's contents, copied into memory.
    ///
    /// - Throws: `FileError` if they can't be read, `CheckpointError` if they are too many for the memory.
    static func loading(path: String) throws -> FileBytes {
        let file = try RegularFile(path: path)
        guard file.byteCount <= largestLoad else {
            throw CheckpointError(.limitExceeded, "\(path) is too large to load, \(file.byteCount) bytes")
        }
        let buffer = try allocate(file.byteCount)
        let contents = FileBytes(.allocated(UnsafeRawBufferPointer(buffer)), count: file.byteCount)
        try file.read(into: buffer, at: 0)
        return contents
    }

    /// A file's contents, each range of which is read when it is needed.
    ///
    /// - Throws: `FileError`.
    static func opening(path: String) throws -> FileBytes {
        let file = try RegularFile(path: path)
        return FileBytes(.disk(file), count: file.byteCount)
    }

    private static func allocate(_ count: Int) throws -> UnsafeMutableRawBufferPointer {
        // Swift's own allocation traps when memory is short; 64 is a cache line and the widest vector.
        var address: UnsafeMutableRawPointer?
        guard posix_memalign(&address, 64, max(count, 1)) == 0 else {
            throw CheckpointError(.limitExceeded, "there isn't enough memory for \(count) bytes")
        }
        return UnsafeMutableRawBufferPointer(start: address, count: count)
    }
}
