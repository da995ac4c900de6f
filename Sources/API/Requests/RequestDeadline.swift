import HTTPServer

/// How long requests may take.
struct TimeLimits: Sendable {
    /// The time for requests that ask for none.
    let standard: Duration
    /// The longest time that is granted; a request that asks for more gets this.
    let maximum: Duration
}

/// When a request's answer is no longer of use, counted from the request's first line.
struct RequestDeadline: Sendable {
    private let received: ContinuousClock.Instant
    /// What `X-Request-Timeout` asks for.
    private let asked: Duration?
    private let limits: TimeLimits

    /// Reads `X-Request-Timeout`.
    ///
    /// - Throws: 400 if the header is not a positive number of seconds.
    init(_ head: RequestHead, _ limits: TimeLimits) throws(Problem) {
        received = head.received
        self.limits = limits
        let values = head.headers.values(of: "X-Request-Timeout")
        guard let text = values.first else {
            asked = nil
            return
        }
        guard values.count == 1, let seconds = Double(text), seconds.isFinite, seconds > 0 else {
            throw Problem(.malformedRequest, "X-Request-Timeout must be one positive number of seconds, such as 2.5")
        }
        // Compared before it becomes a Duration, which traps on what it can't hold.
        asked = seconds >= limits.maximum / .seconds(1) ? limits.maximum : .seconds(seconds)
    }

    /// The instant, never later than the longest time granted. Of two times asked for, the shorter counts.
    ///
    /// - Parameter limit: what the body asks for; nil if it asks for nothing.
    func instant(within limit: Duration? = nil) -> ContinuousClock.Instant {
        received + min([asked, limit].compactMap { $0 }.min() ?? limits.standard, limits.maximum)
    }
}
