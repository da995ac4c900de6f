import CMicroHTTPD

/// How a request ended, and what it took.
package struct ExchangeRecord: Sendable {
    package enum Outcome: String, Sendable {
        /// The response is sent, as far as the kernel knows.
        case completed
        /// The client went away, before or during the response.
        case clientGone = "client gone"
        /// The client was too slow, sending or reading.
        case timedOut = "timed out"
        /// The server closed the connection: it stopped, it could not continue, or the client sent far too much.
        case aborted
    }

    /// The method as received; empty if the head was never complete.
    package var method: String
    package var remoteAddress: String
    /// The status of the response. Without a response: 408 if the request took too long to arrive, 499 if the client left
    /// before its answer, the status of the refusal if the client was disconnected for sending on, and otherwise 0.
    package var status: Int
    package var requestBytes: Int
    /// Bytes of the response's body, whether or not the client read all of them; 0 for HEAD.
    package var responseBytes: Int
    /// From the request's line to its complete body.
    package var receiving: Duration
    /// From there to the handler's response.
    package var handling: Duration
    /// From there to the end.
    package var writing: Duration
    /// When it ended.
    package var ended: ContinuousClock.Instant
    /// Whether it came over TLS.
    package var isEncrypted: Bool
    package var outcome: Outcome
}

extension ExchangeRecord {
    /// The record of an exchange that ends in this state.
    ///
    /// - Parameters:
    ///   - termination: what libmicrohttpd reports.
    ///   - status: that of the response queued, the library's own error pages included; 0 if there was none.
    init(_ exchange: Exchange, _ state: Exchange.State, _ termination: CMHDTermination, status: Int) {
        let now = ContinuousClock.now
        let bodyReceived = state.bodyReceived ?? state.answered ?? now
        let answered = state.answered ?? now
        let outcome = Self.outcome(state, termination, status: status)
        let statusWithoutResponse =
            switch outcome {
            case .timedOut: 408
            case .clientGone: 499
            case .aborted: state.response?.status ?? 0
            case .completed: 0
            }
        // What was queued for a client that had left is the answer of a cancelled handler, and no fault of the service.
        let recorded = state.isClientGone || status == 0 ? statusWithoutResponse : status
        self.init(
            method: state.method, remoteAddress: exchange.connection.remoteAddress,
            status: recorded, requestBytes: state.requestBytes,
            responseBytes: state.responseBytes, receiving: bodyReceived - exchange.received,
            handling: answered - bodyReceived, writing: now - answered, ended: now,
            isEncrypted: exchange.core.configuration.tls != nil, outcome: outcome)
    }

    private static func outcome(
        _ state: Exchange.State, _ termination: CMHDTermination, status: Int
    ) -> ExchangeRecord.Outcome {
        if state.isTimedOut { return .timedOut }
        if state.isClientGone { return .clientGone }
        if state.isAborted { return .aborted }
        switch termination {
        case CMHDSent: return .completed
        case CMHDStopped: return .aborted
        // The library's own error page, which it terminates "with error" once sent.
        case CMHDClosedWithError where status != 0 && state.step != .sending: return .completed
        default: return .clientGone
        }
    }
}
