import Glibc

/// Why a file can't be read or written.
public struct FileError: Error, Equatable, CustomStringConvertible {
    /// The kinds of reason.
    public enum Kind: Sendable {
        /// The operating system refused to open or read the file, or it is of a kind that isn't read.
        case unreadable
        /// The operating system refused to create, write or replace the file.
        case unwritable
        /// The file has more bytes than the reader accepts.
        case tooLarge
    }

    /// The kind of reason.
    public let kind: Kind
    /// What failed, on which file, and what the system said.
    public let description: String

    /// Puts an error together.
    public init(_ kind: Kind, _ description: String) {
        self.kind = kind
        self.description = description
    }

    /// The error for a system call that failed.
    ///
    /// - Parameters:
    ///   - action: what was tried, as a verb, such as "open".
    ///   - path: the file.
    package init(_ kind: Kind, _ action: String, _ path: String, _ error: SystemError) {
        self.init(kind, "can't \(action) \(path): \(error)")
    }

    /// Runs `body`, and names the action and the file in its error.
    package static func locating<Result>(
        _ kind: Kind, _ action: String, _ path: String, _ body: () throws(SystemError) -> Result
    ) throws(FileError) -> Result {
        do throws(SystemError) {
            return try body()
        } catch {
            throw FileError(kind, action, path, error)
        }
    }
}

/// What a system call that failed left in `errno`.
package struct SystemError: Error, Equatable, CustomStringConvertible {
    /// The number, such as `ENOENT`.
    package let code: Int32
    /// The call, where a message names it.
    private let call: String?

    /// The error with a number.
    package init(code: Int32, call: String? = nil) {
        self.code = code
        self.call = call
    }

    /// The error of the system call that has just failed.
    package static var last: SystemError { SystemError(code: errno) }

    /// The result of a call whose failure is a negative number.
    @discardableResult
    package static func check(_ call: String, _ result: Int32) throws(SystemError) -> Int32 {
        guard result >= 0 else { throw SystemError(code: errno, call: call) }
        return result
    }

    /// What the system says, such as "No such file or directory", behind the call if that is named.
    package var description: String { (call.map { "\($0): " } ?? "") + String(cString: strerror(code)) }
}

/// Makes a system call, again each time that a signal interrupts it (EINTR).
package func uninterrupted<Result: SignedInteger>(_ call: () -> Result) -> Result {
    while true {
        let result = call()
        guard result == -1, errno == EINTR else { return result }
    }
}
