/// What became of one request. Times are seconds from the load's start.
package struct LoadSample: Sendable, Equatable {
    package enum Ending: Sendable, Equatable {
        /// Answered with this status.
        case answered(Int)
        /// The connection failed or the answer was no HTTP, or there was none in time.
        case failed(String)
    }

    /// When it was to be sent: latencies count from here, so that a service that holds up the sender gains nothing by it
    /// (no coordinated omission).
    let due: Double
    /// When its first byte was given to the kernel, for an answered request.
    let sent: Double
    /// When the last byte of its answer had come.
    let ended: Double
    package let ending: Ending
    /// What the service says of its own time.
    var timing: ServerTiming?

    /// Milliseconds from when it was due to its end.
    var latency: Double { (ended - due) * 1000 }
}

/// The samples of one run under one load.
package struct LoadResult: Sendable {
    /// All requests that were due, in the order of their ends.
    package let samples: [LoadSample]
    /// Seconds in which requests were sent.
    let duration: Double
    /// Processor seconds that the sending process used meanwhile, all of its threads together.
    let processorSeconds: Double
}

/// Several runs under the same load, summed up.
package struct LoadSummary: Sendable, Equatable, Codable {
    /// Where an accepted request's milliseconds went.
    package struct Latencies: Sendable, Equatable, Codable {
        /// From when it was due to the last byte of its answer.
        package let total: Distribution
        /// From its admission to its first step, as the service says.
        package let queue: Distribution
        /// Decoding and resizing, as the service says.
        package let decode: Distribution
        /// From the first step to the last, as the service says.
        package let inference: Distribution
        /// All the rest: HTTP both ways, writing JSON, and what the sender was late by.
        package let write: Distribution
    }

    /// Requests due a second.
    package let offered: Double
    /// Requests answered 200 a second.
    package let answered: Double
    /// Of the requests due, the share that was answered 503.
    package let refusedShare: Double
    /// Requests with any other end, by what it was.
    package let failures: [String: Int]
    /// Milliseconds of the requests answered 200.
    package let latencies: Latencies
    /// Milliseconds from when a request was sent to its 503.
    package let refusals: Distribution
    /// Milliseconds by which requests were sent later than due.
    package let senderDelay: Distribution
    /// Processors that the sender kept busy, on average.
    package let senderProcessors: Double

    /// Sums up `runs`, leaving out of each the first `settling` of its time, 0 to below 1, in which queues fill.
    ///
    /// Rates count ends, latencies the requests due, within the rest of the time that requests were sent.
    package init(_ runs: [LoadResult], settling: Double) {
        precondition((0..<1).contains(settling))
        var due: [LoadSample] = []
        var answered = 0
        var seconds = 0.0
        for run in runs {
            let window = settling * run.duration..<run.duration
            due += run.samples.filter { window.contains($0.due) }
            answered += run.samples.count { $0.ending == .answered(200) && window.contains($0.ended) }
            seconds += window.upperBound - window.lowerBound
        }
        let accepted = due.filter { $0.ending == .answered(200) }
        let refused = due.filter { $0.ending == .answered(503) }
        offered = seconds > 0 ? Double(due.count) / seconds : 0
        self.answered = seconds > 0 ? Double(answered) / seconds : 0
        refusedShare = due.isEmpty ? 0 : Double(refused.count) / Double(due.count)
        failures = Self.failures(in: runs.flatMap(\.samples))
        latencies = Self.latencies(accepted)
        refusals = Distribution(refused.map { ($0.ended - $0.sent) * 1000 })
        senderDelay = Distribution((accepted + refused).map { ($0.sent - $0.due) * 1000 })
        let elapsed = runs.reduce(0) { $0 + $1.duration }
        senderProcessors = elapsed > 0 ? runs.reduce(0) { $0 + $1.processorSeconds } / elapsed : 0
    }

    private static func failures(in samples: [LoadSample]) -> [String: Int] {
        var failures: [String: Int] = [:]
        for sample in samples {
            switch sample.ending {
            case .answered(200), .answered(503): break
            case .answered(let status): failures["status \(status)", default: 0] += 1
            case .failed(let reason): failures[reason, default: 0] += 1
            }
        }
        return failures
    }

    private static func latencies(_ samples: [LoadSample]) -> Latencies {
        func stage(_ name: String) -> Distribution {
            Distribution(samples.compactMap { $0.timing?.milliseconds[name] })
        }
        let rest = samples.compactMap { sample in
            sample.timing.map { timing in
                sample.latency
                    - ["queue", "decode", "inference"].reduce(0) { $0 + (timing.milliseconds[$1] ?? 0) }
            }
        }
        return Latencies(
            total: Distribution(samples.map(\.latency)), queue: stage("queue"), decode: stage("decode"),
            inference: stage("inference"), write: Distribution(rest))
    }
}
