import HTTPServer

/// How long a request may take: what `X-Request-Timeout` and the body ask for, or the server's default, and never more
/// than the server's maximum.
struct RequestTimeout: Sendable {
    /// The time for requests that name none.
    let standard: Duration
    /// The longest time that is granted; a request that asks for more gets this.
    let maximum: Duration

    /// When a request's answer is no longer of use, counted from its request line. Of two times asked for, the shorter
    /// counts.
    ///
    /// - Parameter limit: what the body asks for; nil if it asks for nothing.
    /// - Throws: 400 if the header is not a positive number of seconds.
    func deadline(of head: RequestHead, within limit: Duration? = nil) throws(Problem) -> ContinuousClock.Instant {
        let asked = [try header(of: head), limit].compactMap { $0 }.min() ?? standard
        return head.received + min(asked, maximum)
    }

    private func header(of head: RequestHead) throws(Problem) -> Duration? {
        let values = head.headers.values(of: "X-Request-Timeout")
        guard let text = values.first else { return nil }
        guard values.count == 1, let seconds = Double(text), seconds.isFinite, seconds > 0 else {
            throw Problem(.malformedRequest, "X-Request-Timeout must be one positive number of seconds, such as 2.5")
        }
        // Compared before it becomes a Duration, which traps on what it can't hold.
        return seconds >= maximum / .seconds(1) ? maximum : .seconds(seconds)
    }
}
