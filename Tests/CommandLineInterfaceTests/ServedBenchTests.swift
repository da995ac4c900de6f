import Foundation
import TestBench
import TestFixtures
import Testing

@testable import Benchmarks
@testable import CommandLineInterface
@testable import LoadGeneration

@Suite("headwater bench served")
struct ServedBenchTests {
    @Test(
        "It measures a service of its own under closed and open loads, by step and by request, and answers for all of it"
    )
    func measures() async throws {
        var report = try await measured(seconds: 0.5)
        // On a busy machine the debug build may answer nothing in so short a turn.
        let counts = report.rows[..<2].map(\.summary.latencies.total.count) + [report.fullRequests.inference.count]
        if report.capacity == 0 || counts.contains(0) {
            report = try await measured(seconds: 8)
        }
        #expect(report.model == "headwater-cifar10" && report.clients == 8)
        #expect(report.batchLimit == 4 && report.queueLimit == 5 && report.engineImagesPerSecond > 0)
        #expect(report.rows.map(\.batching) == ["step", "request", "step", "request", "step", "request"])
        #expect(report.rows.map(\.load) == [nil, nil, 0.5, 0.5, 20, 20])
        #expect(report.rows.allSatisfy { $0.summary.failures.isEmpty })
        #expect(report.capacity == report.rows[0].summary.answered && report.capacity > 0)
        for row in report.rows[4...] {
            #expect(row.summary.refusedShare > 0 && row.summary.refusals.count > 0)
        }
        for latencies in report.rows[..<2].map(\.summary.latencies) {
            #expect(latencies.total.count > 0 && latencies.inference.count == latencies.total.count)
            #expect(latencies.inference.p50 > 0 && latencies.total.p50 >= latencies.inference.p50)
        }
        #expect(report.fullRequests.inference.count > 0 && report.pairShares.count == 1)
        // Both ways of batching met the same arrivals.
        #expect(report.rows[4].summary.offered == report.rows[5].summary.offered)
    }

    private func measured(seconds: Double) async throws -> ServedReport {
        let outcome = try await BuiltProgram.run([
            "bench", "served", "--json", "--seconds", "\(seconds)", "--rounds", "1", "--load", "0.5,20",
            "--max-batch", "4", "--max-waiting", "5", "--image", TestFixtures.path("images/rgb-32x32.jpg"),
        ])
        try #require(outcome.status == 0, "\(outcome.errors)")
        let reports = try JSONDecoder().decode([ServedReport].self, from: Data(outcome.output.utf8))
        #expect(reports.count == 1)
        return try #require(reports.first)
    }

    @Test("Comparisons are of medians over the rounds, which one bad round can't spoil")
    func findings() {
        func row(_ batching: String, _ load: Double?, p95: [Double], shares: [Double]) -> ServedReport.Row {
            let samples = [
                LoadSample(due: 0.5, sent: 0.5, ended: 0.6, ending: .answered(200)),
                LoadSample(due: 0.5, sent: 0.5, ended: 0.504, ending: .answered(503)),
            ]
            return ServedReport.Row(
                batching: batching, load: load,
                summary: LoadSummary([LoadResult(samples: samples, duration: 1, processorSeconds: 0)], settling: 0.2),
                processorMilliseconds: 5,
                rounds: zip(p95, shares).map {
                    ServedReport.Round(p95: $0.0, shareOfCapacity: $0.1, shareOfEngine: $0.1 / 2)
                })
        }
        let report = ServedReport(
            model: "m", kernels: "k", workers: 2, batchLimit: 8, queueLimit: 64, clients: 16, seconds: 1, rounds: 3,
            imageBytes: 1, engineImagesPerSecond: 10, engineProcessorMilliseconds: 4,
            fullRequests: row("step", nil, p95: [1], shares: [1]).summary.latencies,
            pairShares: [0.97, 0.2, 0.99],
            rows: [
                row("step", nil, p95: [1, 1, 1], shares: [1, 1, 1]),
                row("step", 1.5, p95: [10, 9000, 20], shares: [0.99, 0.1, 0.98]),
                row("request", 1.5, p95: [40, 30, 9000], shares: [1, 1, 1]),
            ])
        let findings = report.findings.joined(separator: "\n")
        for expected in [
            "two such clients: 97.0 % of the engine alone",
            "closed loop, step: 50.0 % of the engine alone; 5.0 ms of processor time an image against 4.0, 125.0 % of it",
            "150.0 % load: p95 is 20.0 ms by step, 40.0 ms by request, 50.0 % of it",
            "150.0 % load, step: throughput is 98.0 % of the capacity; 1 refused within p50 4.0,",
        ] {
            #expect(findings.contains(expected), "\(findings)")
        }
        #expect(report.table.split(separator: "\n").count == 4)
    }

    @Test("Options of other benchmarks are refused, and a bad image is said to be bad")
    func wrongInput() async throws {
        for arguments in [
            ["served", "--batch", "4"], ["network", "--load", "0.5"], ["profile", "--max-waiting", "3"],
            ["served", "--seconds", "0"], ["training", "--precision", "bf16"],
        ] {
            let outcome = try await BuiltProgram.run(["bench"] + arguments)
            #expect(outcome.status == 64 && outcome.errors.contains(arguments[1]), "\(outcome.errors)")
        }
        let scratch = try Scratch()
        let file = try scratch.write("II*\0".utf8, to: "a.jpg")
        let outcome = try await BuiltProgram.run(["bench", "served", "--seconds", "0.1", "--image", file])
        #expect(outcome.status == 65 && outcome.errors.contains("415"), "\(outcome.errors)")
        let missing = try await BuiltProgram.run(["bench", "served", "--model", file])
        #expect(missing.status == 65 && missing.errors.contains(file), "\(missing.errors)")
    }
}
