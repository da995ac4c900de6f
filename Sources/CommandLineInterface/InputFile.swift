#if canImport(Glibc)
    import Glibc
#endif

/// Small text files that options name: certificates and keys.
enum InputFile {
    private static let limit = 1 << 20

    /// The text of a file of at most 1 MiB.
    ///
    /// - Parameter place: the flag or variable that names the file, for the error.
    /// - Throws: `CommandFailure` with the system's reason. What is in the file isn't told.
    static func text(_ path: String, at place: String) throws -> String {
        func failure(_ status: ExitStatus, _ reason: String) -> CommandFailure {
            CommandFailure(status: status, description: "\(place): \(path): \(reason)")
        }
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            let number = errno
            let advice = number == EACCES ? "; the service's user must be able to read it" : ""
            throw failure(.unreadableInput, String(cString: strerror(number)) + advice)
        }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = read(descriptor, &piece, piece.count)
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { throw failure(.unreadableInput, String(cString: strerror(errno))) }
            guard count > 0 else { break }
            bytes += piece.prefix(count)
            guard bytes.count <= limit else { throw failure(.unusableData, "it is larger than 1 MiB") }
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw failure(.unusableData, "it is not UTF-8 text")
        }
        return text
    }
}
