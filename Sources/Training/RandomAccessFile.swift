import Glibc

/// A regular file that many threads read at any offset.
///
/// `pread` rather than a mapping: a file that is cut short while it is read gives an error here, and a bus error there.
final class RandomAccessFile: Sendable {
    /// The path it was opened by, for messages.
    let path: String
    /// Its length in bytes when it was opened.
    let count: Int
    private let descriptor: Int32

    /// Opens a file for reading.
    ///
    /// - Throws: `DataSetError` if it is missing, unreadable or no regular file.
    init(path: String) throws(DataSetError) {
        // Without O_NONBLOCK, opening a pipe would wait for somebody to write to it.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw DataSetError("\(path): \(systemMessage())", kind: .unreadable) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            close(descriptor)
            throw DataSetError("\(path): not a regular file", kind: .unreadable)
        }
        self.path = path
        self.descriptor = descriptor
        count = Int(status.st_size)
    }

    deinit {
        close(descriptor)
    }

    /// The bytes of a range.
    ///
    /// - Throws: `DataSetError` if the range is not in the file or can't be read.
    func bytes(in range: Range<Int>) throws(DataSetError) -> [UInt8] {
        guard range.lowerBound >= 0, range.upperBound <= count else {
            throw DataSetError("\(path): bytes \(range) lie beyond its end at \(count)")
        }
        var filled = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: range.count) { buffer, initializedCount in
            while filled < range.count {
                let length = pread(
                    descriptor, buffer.baseAddress! + filled, range.count - filled, range.lowerBound + filled)
                if length < 0 && errno == EINTR { continue }
                guard length > 0 else { break }
                filled += length
            }
            initializedCount = filled
        }
        guard filled == range.count else {
            throw DataSetError(
                "\(path): could not be read beyond byte \(range.lowerBound + filled)", kind: .unreadable)
        }
        return bytes
    }

    /// The whole file.
    ///
    /// - Throws: `DataSetError` if it has more than `maximumBytes` bytes or can't be read.
    func bytes(atMost maximumBytes: Int) throws(DataSetError) -> [UInt8] {
        guard count <= maximumBytes else {
            throw DataSetError("\(path): has \(count) bytes, more than the \(maximumBytes) allowed")
        }
        return try bytes(in: 0..<count)
    }
}

/// What the last failed system call said.
func systemMessage() -> String { String(cString: strerror(errno)) }

extension RandomAccessFile {
    /// Whether there is anything at a path.
    static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }
}
