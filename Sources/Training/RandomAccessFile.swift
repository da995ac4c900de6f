import CheckpointFormats
import Glibc
import UntrustedText

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
        self.path = path
        do throws(CheckpointError) {
            (descriptor, count) = try openRegularFile(path)
        } catch {
            throw DataSetError(error.description, kind: .unreadable)
        }
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
        do {
            return try [UInt8](unsafeUninitializedCapacity: range.count) { buffer, initializedCount in
                let bytes = UnsafeMutableRawBufferPointer(
                    rebasing: UnsafeMutableRawBufferPointer(buffer)[..<range.count])
                try readFully(descriptor, path, into: bytes, from: range.lowerBound)
                initializedCount = range.count
            }
        } catch {
            throw DataSetError("\(error)", kind: .unreadable)
        }
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
    static func exists(_ path: String) -> Bool { access(path.systemPath, F_OK) == 0 }
}
