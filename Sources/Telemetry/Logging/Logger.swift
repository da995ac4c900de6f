import Glibc

/// Writes structured log lines: a message that is always the same text for the same event, and fields.
///
/// Give no secrets; nothing is masked.
package struct Logger: Sendable {
    /// The longest line, newline included, in bytes: what Linux writes to a pipe in one piece (`PIPE_BUF`).
    package static let longestLine = 4096
    /// The longest message, name or value after escaping, in bytes; what is longer is cut and ends in `…`.
    package static let longestValue = 1024

    package let level: LogLevel
    private let format: LogFormat
    private let sink: any LogSink
    private let clock: @Sendable () -> Timestamp

    package init(
        level: LogLevel, format: LogFormat, sink: any LogSink,
        clock: @escaping @Sendable () -> Timestamp = Timestamp.now
    ) {
        self.level = level
        self.format = format
        self.sink = sink
        self.clock = clock
    }

    /// A logger to stderr.
    ///
    /// - Parameter format: text on a terminal and JSON otherwise, if nil.
    package static func standardError(level: LogLevel, format: LogFormat? = nil) -> Logger {
        let format = format ?? (isatty(STDERR_FILENO) == 1 ? .text : .json)
        return Logger(level: level, format: format, sink: DescriptorLogSink(format: format))
    }

    /// Writes one line if `level` is enough; the message and the fields aren't evaluated otherwise.
    package func log(
        _ level: LogLevel, _ message: @autoclosure () -> String, _ fields: @autoclosure () -> LogFields = [:]
    ) {
        guard level >= self.level else { return }
        let line = LogLine(format: format, time: clock(), level: level, message: message(), fields: fields())
        sink.write(line.encoded(limit: Self.longestLine))
    }

    package func info(_ message: @autoclosure () -> String, _ fields: @autoclosure () -> LogFields = [:]) {
        log(.info, message(), fields())
    }

    package func warning(_ message: @autoclosure () -> String, _ fields: @autoclosure () -> LogFields = [:]) {
        log(.warning, message(), fields())
    }

    package func error(_ message: @autoclosure () -> String, _ fields: @autoclosure () -> LogFields = [:]) {
        log(.error, message(), fields())
    }
}
