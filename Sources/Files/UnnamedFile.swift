import Glibc
import UntrustedText

/// A temporary file without a name, which goes away when it is closed, also if the process is killed.
package final class UnnamedFile {
    /// Bytes written so far.
    package private(set) var byteCount = 0

    /// What messages call it.
    private let description: String
    private let descriptor: FileDescriptor

    /// Creates the file in `folder`, readable by this process only.
    ///
    /// - Throws: `FileError` of kind `unwritable`.
    package init(in folder: String) throws(FileError) {
        description = "a temporary file in \(folder)"
        // O_TMPFILE was rejected: not every file system has it.
        let path = "\(folder)/.headwater-\(String(UInt64.random(in: 0 ... .max), radix: 16))"
        descriptor = try FileError.locating(.unwritable, "create", description) { () throws(SystemError) in
            try FileDescriptor(opening: path, O_RDWR | O_CREAT | O_EXCL, mode: 0o600)
        }
        unlink(path.systemPath)
    }

    deinit { descriptor.close() }

    /// Appends `bytes`.
    ///
    /// - Throws: `FileError` of kind `unwritable`.
    package func write(_ bytes: UnsafeRawBufferPointer) throws(FileError) {
        try FileError.locating(.unwritable, "write", description) { () throws(SystemError) in
            try descriptor.write(bytes)
        }
        byteCount += bytes.count
    }

    /// What was written, for reading at any offset from any thread. It stays when this object goes.
    ///
    /// - Throws: `FileError` of kind `unreadable`.
    package func contents() throws(FileError) -> RegularFile {
        let duplicate = uninterrupted { fcntl(descriptor.number, F_DUPFD_CLOEXEC, 0) }
        guard duplicate >= 0 else { throw FileError(.unreadable, "reopen", description, .last) }
        return RegularFile(FileDescriptor(duplicate), path: description, byteCount: byteCount)
    }
}
