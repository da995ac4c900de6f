import Glibc
import UntrustedText

/// Folders of the file system.
package enum Folder {
    /// The names of a folder's entries, in bytes and in no order, without `.` and `..`.
    package static func names(in path: String) throws(SystemError) -> [[UInt8]] {
        guard let stream = opendir(path.systemPath) else { throw .last }
        defer { closedir(stream) }
        var names: [[UInt8]] = []
        while true {
            // Only errno tells the end from a failure.
            errno = 0
            guard let entry = readdir(stream) else { break }
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: UInt8.self, capacity: Int(entry.pointee.d_reclen)) {
                    Array(UnsafeBufferPointer(start: $0, count: strlen($0)))
                }
            }
            if name != Array(".".utf8), name != Array("..".utf8) { names.append(name) }
        }
        guard errno == 0 else { throw .last }
        return names
    }
}
