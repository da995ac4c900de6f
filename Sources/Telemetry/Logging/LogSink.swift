import Files
import Glibc
import Synchronization

package protocol LogSink: Sendable {
    /// Takes one line, newline included, whole or not at all, without delaying the caller for long. Called from any
    /// thread, several at once.
    func write(_ line: [UInt8])
}

/// Writes lines to a descriptor, stderr as a rule, with one `write(2)` each, so that lines never interleave.
///
/// **A full pipe.** The service must not stop because its log is not read. A line first waits until the descriptor
/// takes it, at most `patience`; then it is dropped, and from there on no line waits at all until one gets through,
/// which a line `log lines dropped` precedes. Lines are at most `PIPE_BUF` bytes (``Logger/longestLine``), which a pipe
/// that polls as writable takes at once, so the descriptor needn't be non-blocking: that would change it for every
/// process that shares it. Another process that fills the same pipe between poll and write can still delay a line.
///
/// The process must ignore SIGPIPE: a reader that goes between poll and write would end it otherwise.
package final class DescriptorLogSink: LogSink {
    private struct State {
        var dropped: UInt64 = 0
        var droppedSinceLastWrite: UInt64 = 0
    }

    private let descriptor: Int32
    private let format: LogFormat
    private let patience: Duration
    private let clock: @Sendable () -> Timestamp
    private let state = Mutex(State())

    /// A sink on an open descriptor, which stays the caller's to close.
    ///
    /// - Parameters:
    ///   - format: how to write that lines were dropped: as the logger does.
    ///   - patience: how long a line waits for a full descriptor, under 10 seconds.
    ///   - clock: the time of the line that tells of dropped ones.
    package init(
        descriptor: Int32 = STDERR_FILENO, format: LogFormat, patience: Duration = .milliseconds(100),
        clock: @escaping @Sendable () -> Timestamp = Timestamp.now
    ) {
        self.descriptor = descriptor
        self.format = format
        self.patience = min(max(patience, .zero), .seconds(10))
        self.clock = clock
    }

    /// How many lines have been dropped since the start.
    package var droppedLines: UInt64 { state.withLock { $0.dropped } }

    /// Writes the line, or drops it as said above.
    package func write(_ line: [UInt8]) {
        state.withLock { state in
            let patience = state.droppedSinceLastWrite == 0 ? patience : .zero
            guard isWritable(within: patience), reportDropped(&state), writeWhole(line) else {
                state.dropped += 1
                state.droppedSinceLastWrite += 1
                return
            }
        }
    }

    private func reportDropped(_ state: inout State) -> Bool {
        guard state.droppedSinceLastWrite > 0 else { return true }
        let line = LogLine(
            format: format, time: clock(), level: .warning, message: "log lines dropped",
            fields: ["count": .integer(state.droppedSinceLastWrite)])
        guard writeWhole(line.encoded(limit: Logger.longestLine)) else { return false }
        state.droppedSinceLastWrite = 0
        return isWritable(within: .zero)
    }

    private func isWritable(within patience: Duration) -> Bool {
        var request = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        let milliseconds = Int32(patience / .milliseconds(1))
        // An interrupted poll counts as a full descriptor: waiting again could go on for ever under a timer signal.
        guard poll(&request, 1, milliseconds) == 1 else { return false }
        return Int32(request.revents) == POLLOUT
    }

    private func writeWhole(_ line: [UInt8]) -> Bool {
        uninterrupted { Glibc.write(descriptor, line, line.count) } == line.count
    }
}
