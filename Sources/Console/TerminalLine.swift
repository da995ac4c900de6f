import Files
import Synchronization

/// The terminal's last line, which a bar stands on until something else is to be written there.
///
/// A second signal ends the process from another thread than the one that draws, hence the lock. If the terminal is gone, what is
/// written is dropped.
final class TerminalLine: Sendable {
    static let standardError = TerminalLine(FileDescriptor.standardError)

    private enum State {
        case blank, shown, closed
    }

    private let state = Mutex(State.blank)
    private let output: FileDescriptor

    private static let eraseLine = Array("\r\u{1B}[K".utf8)

    init(_ output: FileDescriptor) { self.output = output }

    /// Replaces what is on the line.
    func show(_ text: String) {
        state.withLock { state in
            guard state != .closed else { return }
            state = .shown
            try? output.write(Self.eraseLine + text.utf8)
        }
    }

    /// Leaves the line blank.
    ///
    /// - Returns: whether something was on it.
    @discardableResult
    func erase() -> Bool {
        state.withLock { state in
            guard state == .shown else { return false }
            state = .blank
            try? output.write(Self.eraseLine)
            return true
        }
    }

    /// Leaves the line blank for good, as the process is about to end.
    func close() {
        state.withLock { state in
            if state == .shown { try? output.write(Self.eraseLine) }
            state = .closed
        }
    }
}
