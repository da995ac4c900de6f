import Digests
import Glibc
import Synchronization
import UntrustedText

/// The bytes of a file, or of memory that lives for ever: in memory, or left on the disk until they are asked for.
///
/// A mapping was rejected: whoever cuts a mapped file short kills the process that touches it (SIGBUS), which reading
/// turns into an error.
final class FileBytes: Sendable {
    private enum Place {
        case allocated(UnsafeRawBufferPointer)
        case borrowed(UnsafeRawBufferPointer)
        case disk(descriptor: Int32, path: String)
    }

    /// The most bytes that are read into memory.
    static let largestLoad = 64 << 30

    /// How many there are.
    let count: Int

    // Immutable memory that only `deinit` gives back: sharing the pointer between threads is safe, which the compiler
    // can't see of any pointer.
    nonisolated(unsafe) private let place: Place
    private let digest = Mutex<SHA256.Digest?>(nil)

    private init(_ place: Place, count: Int) {
        self.place = place
        self.count = count
    }

    deinit {
        switch place {
        case .allocated(let bytes): free(UnsafeMutableRawPointer(mutating: bytes.baseAddress))
        case .borrowed: break
        case .disk(let descriptor, _): close(descriptor)
        }
    }

    /// Calls `body` with the bytes of a range that lies within `count`, valid during the call only.
    ///
    /// - Throws: `CheckpointError` if they are on the disk and can't be read, or there is no memory for them; and what
    ///   `body` throws.
    func withUnsafeBytes<R>(in range: Range<Int>, _ body: (UnsafeRawBufferPointer) throws -> R) throws -> R {
        switch place {
        case .allocated(let bytes), .borrowed(let bytes):
            return try withExtendedLifetime(self) { try body(UnsafeRawBufferPointer(rebasing: bytes[range])) }
        case .disk(let descriptor, let path):
            let buffer = try Self.allocate(range.count)
            defer { free(buffer.baseAddress) }
            try readFully(descriptor, path, into: buffer, from: range.lowerBound)
            return try body(UnsafeRawBufferPointer(buffer))
        }
    }

    /// The SHA-256 digest, computed when it is first asked for.
    ///
    /// - Throws: `CheckpointError` if the bytes are on the disk and can't be read.
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

    /// A copy of `bytes`.
    static func copying(_ bytes: [UInt8]) throws -> FileBytes {
        let buffer = try allocate(bytes.count)
        buffer.copyBytes(from: bytes)
        return FileBytes(.allocated(UnsafeRawBufferPointer(buffer)), count: bytes.count)
    }

    /// A file's contents, copied into memory.
    static func loading(path: String) throws -> FileBytes {
        let (descriptor, count) = try openRegularFile(path)
        defer { close(descriptor) }
        guard count <= largestLoad else {
            throw CheckpointError(.limitExceeded, "\(path) is too large to load, \(count) bytes")
        }
        let buffer = try allocate(count)
        let contents = FileBytes(.allocated(UnsafeRawBufferPointer(buffer)), count: count)
        try readFully(descriptor, path, into: buffer, from: 0)
        return contents
    }

    /// A file's contents, each range of which is read when it is asked for. The file stays open: another one that takes
    /// its place changes nothing.
    static func opening(path: String) throws -> FileBytes {
        let (descriptor, count) = try openRegularFile(path)
        return FileBytes(.disk(descriptor: descriptor, path: path), count: count)
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

/// Opens a file for reading and says how long it is. Folders, pipes and devices, which have no length and may block, are
/// refused.
package func openRegularFile(_ path: String) throws(CheckpointError) -> (descriptor: Int32, byteCount: Int) {
    guard !path.utf8.contains(0) else { throw CheckpointError(.unreadable, "a path can't contain a NUL byte") }
    let descriptor = open(path.systemPath, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw CheckpointError.system(.unreadable, "open", path, code: errno) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else {
        let code = errno
        close(descriptor)
        throw CheckpointError.system(.unreadable, "examine", path, code: code)
    }
    guard status.st_mode & S_IFMT == S_IFREG else {
        close(descriptor)
        throw CheckpointError(.unreadable, "\(path) is not a regular file")
    }
    return (descriptor, Int(status.st_size))
}

/// Fills `buffer` with what stands at `offset` of an open file; `path` is for messages.
package func readFully(
    _ descriptor: Int32, _ path: String, into buffer: UnsafeMutableRawBufferPointer, from offset: Int
) throws(CheckpointError) {
    var filled = 0
    while filled < buffer.count {
        let received = pread(descriptor, buffer.baseAddress! + filled, buffer.count - filled, offset + filled)
        if received < 0 && errno == EINTR { continue }
        guard received >= 0 else { throw CheckpointError.system(.unreadable, "read", path, code: errno) }
        guard received > 0 else {
            throw CheckpointError(.unreadable, "\(path) became shorter while it was read; try again")
        }
        filled += received
    }
}
