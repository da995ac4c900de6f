import Foundation
import TestFixtures
import Testing

@testable import CommandLineInterface

@Suite("headwater bench --serve")
struct BenchServeTests {
    @Test(
        "It measures a service of its own under closed and open loads, by step and by request, and answers for all of it"
    )
    func measures() async throws {
        let outcome = try await BuiltProgram.run([
            "bench", "--serve", "--json", "--seconds", "0.2", "--rounds", "1", "--load", "0.5,20", "--max-batch", "4",
            "--max-waiting", "5", "--image", TestFixtures.path("images/rgb-32x32.jpg"),
        ])
        try #require(outcome.status == 0, "\(outcome.errors)")
        let reports = try JSONDecoder().decode([ServedReport].self, from: Data(outcome.output.utf8))
        let report = try #require(reports.first)
        #expect(reports.count == 1 && report.model == "headwater-cifar10" && report.clients == 8)
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
        // Both ways of batching met the same arrivals.
        #expect(report.rows[4].summary.offered == report.rows[5].summary.offered)
    }

    @Test("Options of the engine's measurement and of the served one don't mix; a bad image is said to be bad")
    func wrongInput() async throws {
        for arguments in [["--serve", "--batch", "4"], ["--load", "0.5"], ["--max-waiting", "3"]] {
            let outcome = try await BuiltProgram.run(["bench"] + arguments)
            #expect(outcome.status == 64 && outcome.errors.contains("--"), "\(outcome.errors)")
        }
        let scratch = try Scratch()
        let file = try scratch.write("GIF89a".utf8, to: "a.jpg")
        let outcome = try await BuiltProgram.run(["bench", "--serve", "--seconds", "0.1", "--image", file])
        #expect(outcome.status == 65 && outcome.errors.contains("415"), "\(outcome.errors)")
        let missing = try await BuiltProgram.run(["bench", "--serve", "--model", file])
        #expect(missing.status == 65 && missing.errors.contains(file), "\(missing.errors)")
    }
}
