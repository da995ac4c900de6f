import LoadGeneration
import Plotting

/// How a service did under load.
package struct ServedReport: Codable, Sendable {
    /// One load with one way of batching.
    struct Row: Codable, Sendable {
        let batching: String
        /// The share of the capacity that was offered; nil for the closed loop.
        let load: Double?
        /// Of all rounds together.
        let summary: LoadSummary
        /// Processor milliseconds, of all threads together, that the service used per image answered.
        let processorMilliseconds: Double
        /// Each round by itself: what else a shared machine does spoils some rounds, and a median forgets those.
        let rounds: [Round]

        /// The median over the rounds of one of their figures.
        func typical(_ figure: (Round) -> Double) -> Double { ServedReport.median(rounds.map(figure)) }
    }

    /// One load in one round.
    struct Round: Codable, Sendable {
        /// Milliseconds from due to answered.
        let p95: Double
        /// Images answered a second, against the closed loop's of the same round.
        let shareOfCapacity: Double
        /// The same against the engine alone.
        let shareOfEngine: Double
    }

    let model: String
    let kernels: String
    let workers: Int
    /// The most images in a step.
    let batchLimit: Int
    /// The most images that may wait.
    let queueLimit: Int
    /// Clients of the closed loop.
    let clients: Int
    /// Of a turn.
    let seconds: Double
    /// Turns of each load.
    let rounds: Int
    /// Size of the image that is posted.
    let imageBytes: Int
    /// At full batches, without the service.
    let engineImagesPerSecond: Double
    /// Processor milliseconds that the engine alone used per image, its idle workers' waiting included.
    let engineProcessorMilliseconds: Double
    /// Of one client whose requests each fill a batch, with the first way of batching.
    let fullRequests: LoadSummary.Latencies
    /// Images a second that two such clients are answered, against the engine alone, of each round.
    let pairShares: [Double]
    /// The closed loops first.
    let rows: [Row]

    /// Images a second of the first way of batching with as many clients as were asked for.
    var capacity: Double { rows.first { $0.load == nil }?.summary.answered ?? 0 }

    // MARK: As text

    /// For people.
    package var text: String {
        """
        \(model): kernels \(kernels), \(workers) workers, batches of \(batchLimit), \(queueLimit) may wait; an image of \
        \(imageBytes) bytes to /embed; \(rounds) rounds of \(seconds) s
        engine alone: \(Int(engineImagesPerSecond.rounded())) images/s; capacity, \(clients) clients in a closed loop: \
        \(Int(capacity.rounded())) images/s
        milliseconds from when a request was due, p50/p95/p99

        \(table)

        \(findings.joined(separator: "\n"))

        """
    }

    var table: String {
        let columns = TextColumns([
            ("load", 7), ("batching", 10), ("offered/s", 11), ("answered/s", 12), ("refused", 9), ("failed", 8),
            ("total", 22), ("queue", 22), ("decode", 18), ("inference", 22), ("write", 18), ("cpu ms", 8),
        ])
        let lines = rows.map { row in
            let summary = row.summary
            let latencies = summary.latencies
            let cells =
                [
                    row.load.map(Self.percent) ?? "closed", row.batching, Self.decimal(summary.offered),
                    Self.decimal(summary.answered), Self.percent(summary.refusedShare),
                    "\(summary.failures.values.reduce(0, +))",
                ]
                + [latencies.total, latencies.queue, latencies.decode, latencies.inference, latencies.write].map {
                    "\(Self.decimal($0.p50))/\(Self.decimal($0.p95))/\(Self.decimal($0.p99))"
                } + [Self.decimal(row.processorMilliseconds)]
            return columns.line(cells)
        }
        return ([columns.head] + lines).joined(separator: "\n")
    }

    /// What follows from the rows, a sentence a line; medians over the rounds where it compares.
    var findings: [String] {
        let outside = fullRequests.write.p50 / fullRequests.inference.p50
        var lines = [
            "one client, requests of \(min(batchLimit, 32)) images: HTTP and JSON take \(Self.decimal(fullRequests.write.p50)) ms "
                + "compared with \(Self.decimal(fullRequests.inference.p50)) ms of inference, \(Self.percent(outside)) of it (p50)",
            "two such clients: \(Self.percent(Self.median(pairShares))) of the engine alone",
        ]
        for row in rows where row.load == nil {
            lines.append(
                "closed loop, \(row.batching): \(Self.percent(row.typical(\.shareOfEngine))) of the engine alone; "
                    + "\(Self.decimal(row.processorMilliseconds)) ms of processor time an image against "
                    + "\(Self.decimal(engineProcessorMilliseconds)), "
                    + "\(Self.percent(row.processorMilliseconds / engineProcessorMilliseconds)) of it")
        }
        for load in Set(rows.compactMap(\.load)).sorted() {
            let row = { (batching: String) in rows.first { $0.load == load && $0.batching == batching } }
            if let step = row("step")?.typical(\.p95), let request = row("request")?.typical(\.p95), request > 0 {
                lines.append(
                    "\(Self.percent(load)) load: p95 is \(Self.decimal(step)) ms by step, "
                        + "\(Self.decimal(request)) ms by request, \(Self.percent(step / request)) of it")
            }
        }
        for row in rows where row.summary.refusals.count > 0 {
            let refusals = row.summary.refusals
            lines.append(
                "\(row.load.map(Self.percent) ?? "closed") load, \(row.batching): throughput is "
                    + "\(Self.percent(row.typical(\.shareOfCapacity))) of the capacity; \(refusals.count) refused "
                    + "within p50 \(Self.decimal(refusals.p50)), p99 \(Self.decimal(refusals.p99)), at most "
                    + "\(Self.decimal(refusals.greatest)) ms")
        }
        for row in rows {
            for (reason, count) in row.summary.failures.sorted(by: { $0.key < $1.key }) {
                lines.append(
                    "\(row.load.map(Self.percent) ?? "closed") load, \(row.batching): \(count) failed: \(reason)")
            }
        }
        let processors = rows.map(\.summary.senderProcessors).max() ?? 0
        let delay = rows.filter { $0.load != nil }.map(\.summary.senderDelay.p99).max() ?? 0
        lines.append(
            "the load generator used up to \(Self.percent(processors)) of one processor and sent within "
                + "\(Self.decimal(delay)) ms of the time due (p99)")
        return lines
    }

    /// The middle value, or of an even number the lower of the two; 0 for none.
    fileprivate static func median(_ values: [Double]) -> Double {
        values.isEmpty ? 0 : values.sorted()[(values.count - 1) / 2]
    }

    private static func decimal(_ value: Double) -> String {
        value >= 100 ? "\(Int(value.rounded()))" : "\((value * 100).rounded() / 100)"
    }

    private static func percent(_ share: Double) -> String {
        guard share.isFinite else { return "-" }
        return "\((share * 1000).rounded() / 10) %"
    }
}
