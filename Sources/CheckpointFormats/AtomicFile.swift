import Glibc
import UntrustedText

/// A file that takes its place at once and complete, or not at all: bytes go to a temporary file in the same folder, which
/// `commit()` flushes to the disk and renames over the old one. If it is dropped before that, the temporary file is
/// removed and the old file is as it was.
///
/// A process that is killed leaves its temporary file behind, `.NAME.<16 hexadecimal digits>.partial`; whoever next writes a
/// file of that name removes it. The lock that a writer holds on its temporary file tells one in use from one left behind:
/// the system releases it however the process ends.
public struct AtomicFile: ~Copyable, Sendable {
    /// Where the file will be.
    public let path: String
    /// Bytes written so far.
    public private(set) var byteCount = 0

    private let folder: String
    private let temporary: TemporaryFile

    /// Creates the temporary file beside `path`, readable by everyone whom the process's umask allows, and removes those
    /// that killed processes have left of the same file.
    ///
    /// - Throws: `CheckpointError` of kind `unwritable`.
    public init(path: String) throws {
        guard !path.utf8.contains(0) else { throw CheckpointError(.unwritable, "a path can't contain a NUL byte") }
        // By bytes: to Swift a slash and a combining character behind it are one character.
        let slash = path.utf8.lastIndex(of: UInt8(ascii: "/"))
        let name = slash.map { String(Substring(path.utf8[$0...].dropFirst())) } ?? path
        guard !name.isEmpty, name != ".", name != ".." else {
            throw CheckpointError(.unwritable, "\(path) names a folder, not a file")
        }
        let folder = slash.map { String(Substring(path.utf8[...$0])) } ?? "."
        let naming = TemporaryNames(of: name)
        naming.removeAbandoned(in: folder)
        guard let temporary = naming.makeFile(in: folder) else {
            throw CheckpointError.system(.unwritable, "create a file next to", path, code: errno)
        }
        self.path = path
        self.folder = folder
        self.temporary = temporary
    }

    deinit {
        close(temporary.descriptor)
        unlink(temporary.path.systemPath)
    }

    /// Appends `bytes`.
    ///
    /// - Throws: `CheckpointError` of kind `unwritable`; the file is then of no more use.
    public mutating func write(_ bytes: UnsafeRawBufferPointer) throws {
        var rest = bytes
        while !rest.isEmpty {
            let written = Glibc.write(temporary.descriptor, rest.baseAddress, rest.count)
            if written < 0 && errno == EINTR { continue }
            guard written >= 0 else { throw CheckpointError.system(.unwritable, "write", path, code: errno) }
            rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(written))
            byteCount += written
        }
    }

    /// Appends `bytes`.
    ///
    /// - Throws: `CheckpointError` of kind `unwritable`; the file is then of no more use.
    public mutating func write(_ bytes: [UInt8]) throws {
        try bytes.withUnsafeBytes { try write($0) }
    }

    /// Puts the file in its place. When this returns, a power failure can't bring the old file back.
    ///
    /// - Throws: `CheckpointError` of kind `unwritable`; the old file is then still there, unless only the folder's
    ///   flush failed, in which case the new one is.
    public consuming func commit() throws {
        guard fsync(temporary.descriptor) == 0 else {
            throw CheckpointError.system(.unwritable, "flush", path, code: errno)
        }
        guard rename(temporary.path.systemPath, path.systemPath) == 0 else {
            throw CheckpointError.system(.unwritable, "replace", path, code: errno)
        }
        let folderDescriptor = open(folder.systemPath, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard folderDescriptor >= 0 else {
            throw CheckpointError.system(.unwritable, "open the folder of", path, code: errno)
        }
        defer { close(folderDescriptor) }
        guard fsync(folderDescriptor) == 0 else {
            throw CheckpointError.system(.unwritable, "flush the folder of", path, code: errno)
        }
    }
}

/// A temporary file that this process holds the lock of.
private struct TemporaryFile {
    let path: String
    let descriptor: Int32
}

/// How the temporary files of one file are called.
private struct TemporaryNames {
    private static let suffix = ".partial"
    private static let digits = 16
    /// The longest name that file systems take, in bytes.
    private static let longest = 255

    private let prefix: String

    init(of name: String) {
        var stem = name
        while stem.utf8.count + Self.digits + Self.suffix.utf8.count + 2 > Self.longest { stem.removeLast() }
        prefix = ".\(stem)."
    }

    /// Creates a file and locks it; nil with `errno` set if the system refuses.
    func makeFile(in folder: String) -> TemporaryFile? {
        while true {
            let random = String(UInt64.random(in: 0 ... .max), radix: 16)
            let padding = String(repeating: "0", count: Self.digits - random.utf8.count)
            let path = "\(folder)/\(prefix)\(padding)\(random)\(Self.suffix)"
            let descriptor = open(path.systemPath, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o666)
            guard descriptor >= 0 else { return nil }
            // Where there are no locks, nobody can take this one and the file is left alone.
            while flock(descriptor, LOCK_EX) != 0, errno == EINTR {}
            // Another process may have taken it for abandoned before it was locked.
            var status = stat()
            guard fstat(descriptor, &status) == 0, status.st_nlink == 0 else {
                return TemporaryFile(path: path, descriptor: descriptor)
            }
            close(descriptor)
        }
    }

    /// Removes the files that nobody has locked. What can't be removed is not this file's trouble.
    func removeAbandoned(in folder: String) {
        guard let entries = opendir(folder.systemPath) else { return }
        defer { closedir(entries) }
        while let entry = readdir(entries) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: UInt8.self, capacity: Self.longest + 1) {
                    String(pathBytes: UnsafeBufferPointer(start: $0, count: strlen($0)))
                }
            }
            if matches(name) { removeIfAbandoned("\(folder)/\(name)") }
        }
    }

    private func matches(_ name: String) -> Bool {
        guard name.utf8.starts(with: prefix.utf8), name.hasSuffix(Self.suffix) else { return false }
        let middle = name.utf8.dropFirst(prefix.utf8.count).dropLast(Self.suffix.utf8.count)
        return middle.count == Self.digits && middle.allSatisfy { Character(Unicode.Scalar($0)).isHexDigit }
    }

    private func removeIfAbandoned(_ path: String) {
        // For writing too, since NFS grants exclusive locks to writers only.
        let descriptor = open(path.systemPath, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG,
            flock(descriptor, LOCK_EX | LOCK_NB) == 0
        else { return }
        unlink(path.systemPath)
    }
}
