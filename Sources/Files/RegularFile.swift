import Glibc
import UntrustedText

/// A regular file that many threads read at any offset. It stays open: another file that takes its path changes nothing.
///
/// It isn't mapped into memory: if another process cuts a mapped file short, access to it kills this process (SIGBUS). A read
/// returns an error instead.
public final class RegularFile: Sendable {
    /// The path it was opened by, for messages.
    public let path: String
    /// Its length in bytes when it was opened.
    public let byteCount: Int
    /// Its descriptor, for libraries that read it themselves. Only they may move its position.
    package let descriptor: FileDescriptor

    /// Opens a file for reading. Folders, pipes and devices, which have no length and may block, are refused.
    ///
    /// - Throws: `FileError` of kind `unreadable`.
    public init(path: String) throws(FileError) {
        guard !path.utf8.contains(0) else { throw FileError(.unreadable, "a path can't contain a NUL byte") }
        let descriptor = try FileError.locating(.unreadable, "open", path) { () throws(SystemError) in
            try FileDescriptor(opening: path, O_RDONLY | O_NONBLOCK)
        }
        var status = stat()
        guard fstat(descriptor.number, &status) == 0 else {
            let error = SystemError.last
            descriptor.close()
            throw FileError(.unreadable, "examine", path, error)
        }
        guard status.st_mode & S_IFMT == S_IFREG else {
            descriptor.close()
            throw FileError(.unreadable, "\(path) is not a regular file")
        }
        self.path = path
        self.descriptor = descriptor
        byteCount = Int(status.st_size)
    }

    /// Takes over an open file; `path` is for messages.
    init(_ descriptor: FileDescriptor, path: String, byteCount: Int) {
        self.descriptor = descriptor
        self.path = path
        self.byteCount = byteCount
    }

    deinit { descriptor.close() }

    /// Fills `buffer` with what is at `offset`.
    ///
    /// - Throws: `FileError` of kind `unreadable`, also if the file ends before.
    public func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(FileError) {
        try Self.fill(buffer, from: descriptor, path, at: offset)
    }

    /// The bytes of a range.
    ///
    /// - Throws: `FileError` of kind `unreadable` if the range is not in the file or can't be read.
    public func bytes(in range: Range<Int>) throws(FileError) -> [UInt8] {
        guard range.lowerBound >= 0, range.upperBound <= byteCount else {
            throw FileError(.unreadable, "\(path): bytes \(range) are beyond its end at \(byteCount)")
        }
        var failure: FileError?
        let bytes = [UInt8](unsafeUninitializedCapacity: range.count) { buffer, count in
            let buffer = UnsafeMutableRawBufferPointer(buffer)
            do throws(FileError) {
                try read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<range.count]), at: range.lowerBound)
                count = range.count
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        return bytes
    }

    /// The whole file.
    ///
    /// - Throws: `FileError` of kind `tooLarge` if it has more than `maximum` bytes, or `unreadable`.
    public func bytes(atMost maximum: Int) throws(FileError) -> [UInt8] {
        guard byteCount <= maximum else {
            throw FileError(.tooLarge, "\(path): has \(byteCount) bytes, more than the \(maximum) allowed")
        }
        return try bytes(in: 0..<byteCount)
    }

    /// Fills `buffer` with what is at `offset` of an open file; `path` is for messages.
    package static func fill(
        _ buffer: UnsafeMutableRawBufferPointer, from file: FileDescriptor, _ path: String, at offset: Int
    ) throws(FileError) {
        let count = try FileError.locating(.unreadable, "read", path) { () throws(SystemError) in
            try file.read(into: buffer, at: offset)
        }
        guard count == buffer.count else {
            throw FileError(.unreadable, "\(path) became shorter while it was read; try again")
        }
    }

    /// Whether there is anything at a path.
    package static func exists(_ path: String) -> Bool { access(path.systemPath, F_OK) == 0 }
}
