/// How much a log line matters, ascending.
package enum LogLevel: String, Sendable, CaseIterable, Comparable {
    /// For finding a fault in the service itself.
    case debug
    /// The normal course of things, such as one line per request.
    case info
    /// Something to look at in time; the service goes on as asked.
    case warning
    /// Something that was asked for was not done.
    case error

    private var severity: Int { Self.allCases.firstIndex(of: self)! }

    package static func < (left: LogLevel, right: LogLevel) -> Bool { left.severity < right.severity }
}
