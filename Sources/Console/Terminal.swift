import Files
import FoundationEssentials
import Glibc
import Synchronization
import UntrustedText

/// Lines for people, on standard error and standard output. They take the place of a progress bar.
package enum Terminal {
    private static let isSilent = Atomic(false)

    /// Leaves out everything but errors from now on, progress bars included: another process of the run says it.
    package static func silence() {
        isSilent.store(true, ordering: .relaxed)
        TerminalLine.standardError.close()
    }

    package static func report(_ text: String) {
        if !isSilent.load(ordering: .relaxed) { write(text, to: .standardError) }
    }

    package static func print(_ text: String) {
        if !isSilent.load(ordering: .relaxed) { write(text, to: .standardOutput) }
    }

    /// Reports what ends the process.
    static func reportError(_ text: String) { write(text, to: .standardError) }

    private static func write(_ text: String, to output: FileDescriptor) {
        TerminalLine.standardError.erase()
        // Names of files and of what is in archives may hold anything, such as commands to the terminal.
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map { printable($0) }
        // What the receiver no longer wants is dropped.
        try? output.write(Array((lines.joined(separator: "\n") + "\n").utf8))
    }

    /// The columns of the terminal on a descriptor, or 80 if it isn't one.
    package static func width(of descriptor: Int32 = STDOUT_FILENO) -> Int {
        var size = winsize()
        guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return Int(size.ws_col)
    }
}

/// What the system hands to the process, as text that stands for its bytes, UTF-8 or not.
package enum ProcessText {
    /// The program's name and the arguments behind it.
    package static var arguments: [String] {
        (0..<Int(CommandLine.argc)).compactMap { CommandLine.unsafeArgv[$0].map(text) }
    }

    package static var environment: [String: String] {
        let repaired = ProcessInfo.processInfo.environment
        return Dictionary(uniqueKeysWithValues: repaired.map { name, value in (name, getenv(name).map(text) ?? value) })
    }

    private static func text(_ pointer: UnsafeMutablePointer<CChar>) -> String {
        String(pathBytes: UnsafeRawBufferPointer(start: pointer, count: strlen(pointer)))
    }
}
