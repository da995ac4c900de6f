import Glibc
import UntrustedText

/// The number of an open file, pipe or terminal. A plain value: `close()` is the owner's to call.
package struct FileDescriptor: Sendable {
    /// The process's standard input, output and error.
    package static let (standardInput, standardOutput, standardError) = (Self(0), Self(1), Self(2))

    /// The system's number.
    package let number: Int32

    /// The descriptor with a number.
    package init(_ number: Int32) { self.number = number }

    /// Opens a file.
    ///
    /// - Parameters:
    ///   - flags: of `open(2)`; `O_CLOEXEC` is added.
    ///   - mode: the permissions of a file that is created, reduced by the process's umask.
    package init(opening path: String, _ flags: Int32, mode: mode_t = 0o666) throws(SystemError) {
        // A NUL byte would end the path early, so that another file would be opened.
        guard !path.utf8.contains(0) else { throw SystemError(code: EINVAL) }
        let path = path.systemPath
        let number = uninterrupted { open(path, flags | O_CLOEXEC, mode) }
        guard number >= 0 else { throw .last }
        self.number = number
    }

    /// Closes the file.
    package func close() { _ = Glibc.close(number) }

    // MARK: Reading

    /// Reads what is there, at most as much as fits into `buffer`.
    ///
    /// - Parameter offset: where in the file; nil continues where the last call ended, which is all that pipes can do.
    /// - Returns: how many bytes were read; 0 at the end of the file.
    package func readSome(
        into buffer: UnsafeMutableRawBufferPointer, at offset: Int? = nil
    ) throws(SystemError) -> Int {
        let count = uninterrupted {
            if let offset {
                Glibc.pread(number, buffer.baseAddress, buffer.count, offset)
            } else {
                Glibc.read(number, buffer.baseAddress, buffer.count)
            }
        }
        guard count >= 0 else { throw .last }
        return count
    }

    /// Fills `buffer` with what is at `offset`.
    ///
    /// - Returns: how many bytes were read; fewer than fit only if the file ends there.
    package func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(SystemError) -> Int {
        var filled = 0
        while filled < buffer.count {
            let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[filled...])
            let count = try readSome(into: rest, at: offset + filled)
            guard count > 0 else { break }
            filled += count
        }
        return filled
    }

    /// The bytes from the present position to the end, for files whose length isn't known in advance.
    ///
    /// - Parameter limit: most bytes wanted. One byte more is returned if there are more.
    package func readToEnd(limit: Int) throws(SystemError) -> [UInt8] {
        var bytes: [UInt8] = []
        let part = UnsafeMutableRawBufferPointer.allocate(byteCount: min(1 << 16, limit + 1), alignment: 1)
        defer { part.deallocate() }
        while bytes.count <= limit {
            let wanted = min(part.count, limit + 1 - bytes.count)
            let count = try readSome(into: UnsafeMutableRawBufferPointer(rebasing: part[..<wanted]))
            guard count > 0 else { break }
            bytes += part[..<count]
        }
        return bytes
    }

    /// The contents of a file, pipe or device, by its path.
    ///
    /// - Parameter limit: most bytes wanted. One byte more is returned if there are more.
    package static func contents(of path: String, limit: Int) throws(SystemError) -> [UInt8] {
        let file = try FileDescriptor(opening: path, O_RDONLY)
        defer { file.close() }
        return try file.readToEnd(limit: limit)
    }

    // MARK: Writing

    /// Writes all of `bytes`, however many calls that takes.
    ///
    /// - Parameter offset: where in the file; nil continues where the last call ended.
    package func write(_ bytes: UnsafeRawBufferPointer, at offset: Int? = nil) throws(SystemError) {
        var written = 0
        while written < bytes.count {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[written...])
            let count = uninterrupted {
                if let offset {
                    Glibc.pwrite(number, rest.baseAddress, rest.count, offset + written)
                } else {
                    Glibc.write(number, rest.baseAddress, rest.count)
                }
            }
            guard count > 0 else { throw count == 0 ? SystemError(code: EIO) : .last }
            written += count
        }
    }

    /// Writes all of `bytes`, however many calls that takes.
    ///
    /// - Parameter offset: where in the file; nil continues where the last call ended.
    package func write(_ bytes: [UInt8], at offset: Int? = nil) throws(SystemError) {
        try bytes.withUnsafeBufferPointer { bytes throws(SystemError) in
            try write(UnsafeRawBufferPointer(bytes), at: offset)
        }
    }

    /// Shortens the file to `length` bytes.
    package func truncate(to length: Int) throws(SystemError) {
        guard uninterrupted({ ftruncate(number, length) }) == 0 else { throw .last }
    }

    /// Waits until the disk has what was written, so that it survives a power failure.
    package func flush() throws(SystemError) {
        guard uninterrupted({ fsync(number) }) == 0 else { throw .last }
    }

    /// Waits until the disk has the file or the folder at `path`. A folder holds the names of its files: a file that was
    /// created or renamed is safe once its folder is.
    ///
    /// - Throws: `FileError` of kind `unwritable`.
    package static func flush(_ path: String) throws(FileError) {
        try FileError.locating(.unwritable, "flush", path) { () throws(SystemError) in
            let descriptor = try FileDescriptor(opening: path, O_RDONLY)
            defer { descriptor.close() }
            try descriptor.flush()
        }
    }
}
