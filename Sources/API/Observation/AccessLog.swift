import Telemetry

/// Which requests get a line in the log.
package enum AccessLog: String, Sendable, CaseIterable {
    /// Every request. Health checks and scrapes that succeed, which come every few seconds, only at the level debug.
    case all
    /// Requests that were not answered, or were answered with a status of 400 or above.
    case errors
    /// None.
    case off

    /// The level of a request's line; nil for none.
    ///
    /// - Parameters:
    ///   - isRoutine: whether it is a health check or a scrape.
    ///   - isComplete: whether the client has received the whole answer.
    func level(status: Int, isComplete: Bool, isRoutine: Bool) -> LogLevel? {
        let isError = status >= 400 || !isComplete
        return switch self {
        case .all: isRoutine && !isError ? .debug : .info
        case .errors: isError ? .info : nil
        case .off: nil
        }
    }
}
