import Glibc

/// A file that takes its place at once and complete, or not at all: bytes go to a temporary file in the same folder, which
/// `commit()` flushes to the disk and renames over the old one. If it is dropped before that, the temporary file is
/// removed and the old file is as it was; if the process is killed, only a hidden `.partial` file is left behind.
public struct AtomicFile: ~Copyable, Sendable {
    /// Where the file will be.
    public let path: String
    /// Bytes written so far.
    public private(set) var byteCount = 0

    private let folder: String
    private let temporaryPath: String
    private let descriptor: Int32

    /// Creates the temporary file beside `path`, readable by everyone whom the process's umask allows.
    ///
    /// - Throws: `CheckpointError` of kind `inputOutput`.
    public init(path: String) throws {
        guard !path.utf8.contains(0) else { throw CheckpointError(.inputOutput, "a path can't contain a NUL byte") }
        let name = path.utf8.lastIndex(of: UInt8(ascii: "/")).map { String(path[path.index(after: $0)...]) } ?? path
        guard !name.isEmpty, name != ".", name != ".." else {
            throw CheckpointError(.inputOutput, "\(path) names a folder, not a file")
        }
        let folder = path == name ? "." : String(path.dropLast(name.count))
        let temporaryPath = "\(folder)/.\(String(UInt64.random(in: 0 ... .max), radix: 36)).partial"
        let descriptor = open(temporaryPath, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o666)
        guard descriptor >= 0 else { throw CheckpointError.system("create a file beside", path, code: errno) }
        self.path = path
        self.folder = folder
        self.temporaryPath = temporaryPath
        self.descriptor = descriptor
    }

    deinit {
        close(descriptor)
        unlink(temporaryPath)
    }

    /// Appends `bytes`.
    ///
    /// - Throws: `CheckpointError` of kind `inputOutput`; the file is then of no more use.
    public mutating func write(_ bytes: UnsafeRawBufferPointer) throws {
        var rest = bytes
        while !rest.isEmpty {
            let written = Glibc.write(descriptor, rest.baseAddress, rest.count)
            if written < 0 && errno == EINTR { continue }
            guard written >= 0 else { throw CheckpointError.system("write", path, code: errno) }
            rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(written))
            byteCount += written
        }
    }

    /// Appends `bytes`.
    ///
    /// - Throws: `CheckpointError` of kind `inputOutput`; the file is then of no more use.
    public mutating func write(_ bytes: [UInt8]) throws {
        try bytes.withUnsafeBytes { try write($0) }
    }

    /// Puts the file in its place. When this returns, a power failure can't bring the old file back.
    ///
    /// - Throws: `CheckpointError` of kind `inputOutput`; the old file is then still there, unless only the folder's
    ///   flush failed, in which case the new one is.
    public consuming func commit() throws {
        guard fsync(descriptor) == 0 else { throw CheckpointError.system("flush", path, code: errno) }
        guard rename(temporaryPath, path) == 0 else { throw CheckpointError.system("replace", path, code: errno) }
        let folderDescriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard folderDescriptor >= 0 else { throw CheckpointError.system("open the folder of", path, code: errno) }
        defer { close(folderDescriptor) }
        guard fsync(folderDescriptor) == 0 else {
            throw CheckpointError.system("flush the folder of", path, code: errno)
        }
    }
}
