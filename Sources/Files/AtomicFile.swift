import Glibc
import UntrustedText

/// A file that takes its place at once and complete, or not at all: bytes go to a temporary file in the same folder, which
/// `commit()` flushes to the disk and renames over the old one. If it is dropped before that, the temporary file is
/// removed and the old file is as it was.
///
/// A process that is killed leaves its temporary file, `.NAME.<16 hexadecimal digits>.partial`. The next process that writes a
/// file of that name removes it. A writer holds a lock on its temporary file, which the system releases however the process
/// ends, so a file without a lock is an abandoned one.
public struct AtomicFile: ~Copyable, Sendable {
    /// Where the file will be.
    public let path: String
    /// Bytes written so far.
    public private(set) var byteCount = 0

    private let folder: String
    private let temporary: TemporaryFile

    /// Creates the temporary file next to `path`, with the permissions that the process's umask leaves, and removes those
    /// that killed processes have left of the same file.
    ///
    /// - Throws: `FileError` of kind `unwritable`.
    public init(path: String) throws(FileError) {
        guard !path.utf8.contains(0) else { throw FileError(.unwritable, "a path can't contain a NUL byte") }
        // By bytes: to Swift a slash and a combining character behind it are one character.
        let slash = path.utf8.lastIndex(of: UInt8(ascii: "/"))
        let name = slash.map { String(Substring(path.utf8[$0...].dropFirst())) } ?? path
        guard !name.isEmpty, name != ".", name != ".." else {
            throw FileError(.unwritable, "\(path) names a folder, not a file")
        }
        var status = stat()
        guard stat(path.systemPath, &status) != 0 || status.st_mode & S_IFMT != S_IFDIR else {
            throw FileError(.unwritable, "\(path) is a folder, not a file")
        }
        let folder = slash.map { String(Substring(path.utf8[...$0])) } ?? "."
        let naming = TemporaryNames(of: name)
        naming.removeAbandoned(in: folder)
        temporary = try FileError.locating(.unwritable, "create a file next to", path) { () throws(SystemError) in
            try naming.makeFile(in: folder)
        }
        self.path = path
        self.folder = folder
    }

    deinit {
        temporary.descriptor.close()
        unlink(temporary.path.systemPath)
    }

    /// Appends `bytes`.
    ///
    /// - Throws: `FileError` of kind `unwritable`. The file can then no longer be completed.
    public mutating func write(_ bytes: UnsafeRawBufferPointer) throws(FileError) {
        try FileError.locating(.unwritable, "write", path) { [temporary] () throws(SystemError) in
            try temporary.descriptor.write(bytes)
        }
        byteCount += bytes.count
    }

    /// Appends `bytes`.
    ///
    /// - Throws: `FileError` of kind `unwritable`. The file can then no longer be completed.
    public mutating func write(_ bytes: [UInt8]) throws(FileError) {
        try bytes.withUnsafeBufferPointer { bytes throws(FileError) in try write(UnsafeRawBufferPointer(bytes)) }
    }

    /// Puts the file in its place. When this returns, a power failure can't bring the old file back.
    ///
    /// - Throws: `FileError` of kind `unwritable`; the old file is then still there, unless only the folder's
    ///   flush failed, in which case the new one is.
    public consuming func commit() throws(FileError) {
        try FileError.locating(.unwritable, "flush", path) { [temporary] () throws(SystemError) in
            try temporary.descriptor.flush()
        }
        guard rename(temporary.path.systemPath, path.systemPath) == 0 else {
            throw FileError(.unwritable, "replace", path, .last)
        }
        try FileDescriptor.flush(folder)
    }
}

/// A temporary file whose lock this process holds.
private struct TemporaryFile {
    let path: String
    let descriptor: FileDescriptor
}

/// The names of one file's temporary files.
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

    /// Creates a file and locks it.
    func makeFile(in folder: String) throws(SystemError) -> TemporaryFile {
        while true {
            let random = String(UInt64.random(in: 0 ... .max), radix: 16)
            let padding = String(repeating: "0", count: Self.digits - random.utf8.count)
            let path = "\(folder)/\(prefix)\(padding)\(random)\(Self.suffix)"
            let descriptor = try FileDescriptor(opening: path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW)
            // Where there are no locks, no process can take this one and the file is left alone.
            _ = uninterrupted { flock(descriptor.number, LOCK_EX) }
            // Another process may have taken it for abandoned before it was locked.
            var status = stat()
            guard fstat(descriptor.number, &status) == 0, status.st_nlink == 0 else {
                return TemporaryFile(path: path, descriptor: descriptor)
            }
            descriptor.close()
        }
    }

    /// Removes the files that no process has locked. One that can't be removed stays, which does this file no harm.
    func removeAbandoned(in folder: String) {
        for name in (try? Folder.names(in: folder)) ?? [] {
            let name = String(pathBytes: name)
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
        guard let descriptor = try? FileDescriptor(opening: path, O_RDWR | O_NONBLOCK | O_NOFOLLOW) else { return }
        defer { descriptor.close() }
        var status = stat()
        guard fstat(descriptor.number, &status) == 0, status.st_mode & S_IFMT == S_IFREG,
            flock(descriptor.number, LOCK_EX | LOCK_NB) == 0
        else { return }
        unlink(path.systemPath)
    }
}
