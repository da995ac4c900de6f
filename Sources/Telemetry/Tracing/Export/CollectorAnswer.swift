import JSON

/// What came of sending spans to a collector.
package enum CollectorAnswer: Sendable, Equatable {
    /// It answered.
    ///
    /// - Parameter retryAfter: how long it wants to be left alone; nil if it doesn't say.
    case answered(status: Int, retryAfter: Duration?, body: [UInt8])
    /// It didn't.
    case unreachable(String)
}

/// What follows from a collector's answer. Decided by the protocol's rules, from values alone.
enum DeliveryDecision: Equatable {
    /// The collector has the spans, all but so many, which it can't use for this reason.
    case delivered(rejected: Int, message: String)
    /// It may take them later.
    case retry(after: Duration, reason: String)
    /// It will never take them.
    case refused(String)

    /// - Parameters:
    ///   - attempt: the number of this attempt, the first being 1.
    ///   - jitter: a random number from 0 to 1.
    init(_ answer: CollectorAnswer, attempt: Int, count: Int, jitter: Double) {
        switch answer {
        case .unreachable(let reason):
            self = .retry(after: Self.backoff(attempt, jitter), reason: reason)
        case .answered(let status, _, let body) where (200...299).contains(status):
            let (rejected, message) = Self.partialSuccess(in: body)
            self = .delivered(rejected: min(rejected, count), message: message)
        case .answered(let status, let retryAfter, let body) where [429, 502, 503, 504].contains(status):
            let wait = retryAfter.map { min($0, longestWait) } ?? Self.backoff(attempt, jitter)
            self = .retry(after: wait, reason: Self.reason(status, body))
        case .answered(let status, _, let body):
            self = .refused(Self.reason(status, body))
        }
    }

    /// One second, doubled with each attempt up to 16, or less by a random part of its half, so that services that have been
    /// refused together don't come back together.
    private static func backoff(_ attempt: Int, _ jitter: Double) -> Duration {
        .seconds(1 << min(attempt - 1, 4)) * (1 - jitter / 2)
    }

    private static func reason(_ status: Int, _ body: [UInt8]) -> String {
        let text = String(decoding: body.prefix(200), as: UTF8.self)
        return text.isEmpty ? "status \(status)" : "status \(status): \(text)"
    }

    /// The number of spans that an `ExportTraceServiceResponse` rejects, and why. A collector that answers with anything else
    /// has taken them: its status counts.
    private static func partialSuccess(in body: [UInt8]) -> (rejected: Int, message: String) {
        var (rejected, message) = (0, "")
        try? JSONReader.read(body) { reader in
            try reader.object { reader, name in
                guard name == "partialSuccess", reader.nextCharacter == "{" else {
                    return try reader.skipValue(depth: 8)
                }
                try reader.object { reader, name in
                    switch name {
                    case "rejectedSpans" where reader.nextCharacter == "\"": rejected = Int(try reader.string()) ?? 0
                    case "rejectedSpans": rejected = try reader.natural()
                    case "errorMessage": message = try reader.string()
                    default: try reader.skipValue(depth: 8)
                    }
                }
            }
        }
        return (max(0, rejected), message)
    }
}

/// The longest time that a collector may ask for: it could otherwise turn the export off.
private let longestWait = Duration.seconds(300)
