import Digests
import Glibc
import Synchronization

/// Bytes that stay where they are as long as this object lives: a file read or mapped, or memory that lives for ever.
final class FileBytes: Sendable {
    private enum Ownership {
        case allocated, mapped, borrowed
    }

    /// The most bytes that are read into memory.
    static let largestLoad = 64 << 30

    // Immutable memory that only `deinit` gives back: sharing the pointer between threads is safe, which the compiler
    // can't see of any pointer.
    nonisolated(unsafe) private let bytes: UnsafeRawBufferPointer
    private let ownership: Ownership
    private let digest = Mutex<SHA256.Digest?>(nil)

    private init(_ bytes: UnsafeRawBufferPointer, _ ownership: Ownership) {
        self.bytes = bytes
        self.ownership = ownership
    }

    deinit {
        switch ownership {
        case .allocated: free(UnsafeMutableRawPointer(mutating: bytes.baseAddress))
        case .mapped: munmap(UnsafeMutableRawPointer(mutating: bytes.baseAddress), bytes.count)
        case .borrowed: break
        }
    }

    var count: Int { bytes.count }

    func withUnsafeBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        try withExtendedLifetime(self) { try body(bytes) }
    }

    /// The SHA-256 digest, computed when it is first asked for.
    var sha256: SHA256.Digest {
        digest.withLock { known in
            if let known { return known }
            let computed = withUnsafeBytes { SHA256.hash($0) }
            known = computed
            return computed
        }
    }

    /// Memory that is never freed or changed, such as a constant of the executable.
    static func borrowing(_ bytes: UnsafeRawBufferPointer) -> FileBytes { FileBytes(bytes, .borrowed) }

    /// A copy of `bytes`.
    static func copying(_ bytes: [UInt8]) throws -> FileBytes {
        let buffer = try allocate(bytes.count)
        buffer.copyBytes(from: bytes)
        return FileBytes(UnsafeRawBufferPointer(buffer), .allocated)
    }

    /// A file's contents, copied into memory.
    static func loading(path: String) throws -> FileBytes {
        let (descriptor, count) = try openRegularFile(path)
        defer { close(descriptor) }
        guard count <= largestLoad else {
            throw CheckpointError(.limitExceeded, "\(path) is too large to load, \(count) bytes")
        }
        let buffer = try allocate(count)
        let contents = FileBytes(UnsafeRawBufferPointer(buffer), .allocated)
        var filled = 0
        while filled < count {
            let received = read(descriptor, buffer.baseAddress! + filled, count - filled)
            if received < 0 && errno == EINTR { continue }
            guard received >= 0 else { throw CheckpointError.system(.unreadable, "read", path, code: errno) }
            guard received > 0 else {
                throw CheckpointError(.unreadable, "\(path) became shorter while it was read; try again")
            }
            filled += received
        }
        return contents
    }

    /// A file's contents, mapped: pages are read when they are touched.
    static func mapping(path: String) throws -> FileBytes {
        let (descriptor, count) = try openRegularFile(path)
        defer { close(descriptor) }
        // mmap refuses a length of zero.
        guard count > 0 else { return .borrowing(UnsafeRawBufferPointer(start: nil, count: 0)) }
        guard let address = mmap(nil, count, PROT_READ, MAP_PRIVATE, descriptor, 0), address != MAP_FAILED else {
            throw CheckpointError.system(.unreadable, "map", path, code: errno)
        }
        return FileBytes(UnsafeRawBufferPointer(start: address, count: count), .mapped)
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
func openRegularFile(_ path: String) throws -> (descriptor: Int32, byteCount: Int) {
    guard !path.utf8.contains(0) else { throw CheckpointError(.unreadable, "a path can't contain a NUL byte") }
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
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
