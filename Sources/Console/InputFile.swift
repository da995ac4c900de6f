import Files

#if canImport(Glibc)
    import Glibc
#endif

/// Small text files, or pipes, that an option names.
public enum InputFile {
    private static let textLimit = 1 << 20

    /// The text of a file of at most 1 MiB that an option names, such as a certificate or a key.
    ///
    /// - Parameter place: the flag or variable that names the file, for the error.
    /// - Throws: `CommandFailure` with the system's reason. What is in the file isn't told.
    public static func text(_ path: String, at place: String) throws -> String {
        func failure(_ status: ExitStatus, _ reason: String) -> CommandFailure {
            CommandFailure(status: status, description: "\(place): \(path): \(reason)")
        }
        let bytes: [UInt8]
        do throws(SystemError) {
            bytes = try FileDescriptor.contents(of: path, limit: textLimit)
        } catch {
            let advice = error.code == EACCES ? "; the service's user must be able to read it" : ""
            throw failure(.unreadableInput, "\(error)\(advice)")
        }
        guard bytes.count <= textLimit else { throw failure(.unusableData, "it is larger than 1 MiB") }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw failure(.unusableData, "it is not UTF-8 text")
        }
        return text
    }
}
