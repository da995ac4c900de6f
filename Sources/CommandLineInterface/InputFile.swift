import Console
import UntrustedText

#if canImport(Glibc)
    import Glibc
#endif

/// Files that a command reads whole: pipes and standard input too, whatever bytes their paths have.
enum InputFile {
    private static let textLimit = 1 << 20

    /// The text of a file of at most 1 MiB that an option names, such as a certificate or a key.
    ///
    /// - Parameter place: the flag or variable that names the file, for the error.
    /// - Throws: `CommandFailure` with the system's reason. What is in the file isn't told.
    static func text(_ path: String, at place: String) throws -> String {
        func failure(_ status: ExitStatus, _ reason: String) -> CommandFailure {
            CommandFailure(status: status, description: "\(place): \(path): \(reason)")
        }
        guard let bytes = bytes(at: path, limit: textLimit) else {
            let number = errno
            let advice = number == EACCES ? "; the service's user must be able to read it" : ""
            throw failure(.unreadableInput, String(cString: strerror(number)) + advice)
        }
        guard bytes.count <= textLimit else { throw failure(.unusableData, "it is larger than 1 MiB") }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw failure(.unusableData, "it is not UTF-8 text")
        }
        return text
    }

    /// The bytes of the file at `path`, one more than `limit` if it has more.
    ///
    /// - Returns: nil if it can't be read, `errno` telling why.
    static func bytes(at path: String, limit: Int) -> [UInt8]? {
        let descriptor = open(path.systemPath, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        let bytes = bytes(of: descriptor, limit: limit)
        let code = errno
        close(descriptor)
        errno = code
        return bytes
    }

    /// What an open file still gives, one byte more than `limit` if that is more.
    ///
    /// - Returns: nil if it can't be read, `errno` telling why.
    static func bytes(of descriptor: Int32, limit: Int) -> [UInt8]? {
        var bytes: [UInt8] = []
        var part = [UInt8](repeating: 0, count: 1 << 16)
        while bytes.count <= limit {
            let count = read(descriptor, &part, min(part.count, limit + 1 - bytes.count))
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { return nil }
            guard count > 0 else { break }
            bytes += part[..<count]
        }
        return bytes
    }
}
