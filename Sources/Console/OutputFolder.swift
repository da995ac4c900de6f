import Glibc
import UntrustedText

/// A folder that a command writes to.
package enum OutputFolder {
    /// Makes a folder and those that its path goes through, where they aren't there.
    ///
    /// - Throws: `CommandFailure` with status `unwritableOutput`.
    package static func make(_ path: String) throws {
        let bytes = path.pathBytes
        let ends = bytes.indices.dropFirst().filter { bytes[$0] == UInt8(ascii: "/") } + [bytes.count]
        for end in ends { mkdir(String(pathBytes: bytes[..<end]).systemPath, 0o777) }
        var status = stat()
        guard stat(path.systemPath, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR else {
            throw CommandFailure(
                .unwritableOutput,
                "\(path): the output folder can't be created; a file may have its name, or permission is missing")
        }
    }
}
