import CMicroHTTPD

/// What libmicrohttpd reports when a request has ended.
struct Ending {
    var termination: CMHDTermination
    /// The status of the response queued, the library's own error pages included; 0 if there was none.
    var status: Int
    /// The status of a response that was never queued; 0 if there was none.
    var unsentStatus: Int
    /// Whether the response was ours.
    var wasSending: Bool

    func outcome(timedOut: Bool, clientGone: Bool, aborted: Bool) -> ExchangeRecord.Outcome {
        if timedOut { return .timedOut }
        if clientGone { return .clientGone }
        if aborted { return .aborted }
        switch termination {
        case CMHDSent: return .completed
        case CMHDStopped: return .aborted
        // The library's own error page, which it terminates "with error" once sent.
        case CMHDClosedWithError where status != 0 && !wasSending: return .completed
        default: return .clientGone
        }
    }
}

extension ExchangeRecord {
    init(_ exchange: Exchange, _ state: Exchange.State, ending: Ending) {
        let now = ContinuousClock.now
        let bodyReceived = state.bodyReceived ?? state.answered ?? now
        let answered = state.answered ?? now
        let outcome = ending.outcome(
            timedOut: state.isTimedOut, clientGone: state.isClientGone, aborted: state.isAborted)
        let statusWithoutResponse =
            switch outcome {
            case .timedOut: 408
            case .clientGone: 499
            case .aborted: ending.unsentStatus
            case .completed: 0
            }
        self.init(
            method: state.method, remoteAddress: exchange.connection.remoteAddress,
            status: ending.status != 0 ? ending.status : statusWithoutResponse,
            requestBytes: state.requestBytes, responseBytes: state.responseBytes,
            receiving: bodyReceived - exchange.received, handling: answered - bodyReceived, writing: now - answered,
            outcome: outcome)
    }
}
