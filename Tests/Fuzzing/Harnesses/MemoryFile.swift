import CFuzzing
import Glibc

private let descriptor: Int32 = {
    let descriptor = make_memory_file()
    guard descriptor >= 0 else { fatalError("no file in memory: \(String(cString: strerror(errno)))") }
    return descriptor
}()

/// Calls `body` with the path of a regular file of these bytes, which lies in memory and is the same every time.
func withFile(_ bytes: [UInt8], _ body: (String) throws -> Void) rethrows {
    guard ftruncate(descriptor, 0) == 0, pwrite(descriptor, bytes, bytes.count, 0) == bytes.count else {
        fatalError("the file in memory can't be written: \(String(cString: strerror(errno)))")
    }
    try body("/proc/self/fd/\(descriptor)")
}
