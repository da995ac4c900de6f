import Console
import FlowModel
import Foundation
import TestFixtures
import Testing

@testable import Training

@Suite("A batch that is divided into parts") struct BatchDivisionTests {
    @Test(
        "gives the same bits with any number of workers, also if parts are uneven or empty", arguments: SmallRun.heads)
    func workers(head: Named<Flow?>) throws {
        func weights(workers: Int, parts: Int) throws -> [Float] {
            try withTemporaryFolder { folder in
                let run = try SmallRun(
                    in: folder, head: head.value, workers: workers, parts: parts, flowWeight: 0.5)
                try run.run(epochs: 1)
                return run.weights
            }
        }
        for parts in [3, 11] {
            #expect(try weights(workers: 3, parts: parts) == weights(workers: 1, parts: parts), "\(parts) parts")
        }
        #expect(try weights(workers: 1, parts: 3) != weights(workers: 1, parts: 1))
    }

    @Test("has the losses, hits and gradient of the whole, apart from rounding", arguments: SmallRun.heads)
    func whole(head: Named<Flow?>) throws {
        try withTemporaryFolder { folder in
            func outcome(parts: Int?) throws -> (BatchOutcome, norm: Double) {
                let run = try SmallRun(in: folder, head: head.value, parts: parts, flowWeight: 0.5)
                return (try run.trainer.step(SmallRun.batch(0, 0)), run.trainer.gradientNorm)
            }
            let (whole, norm) = try outcome(parts: nil)
            for parts in [1, 3, 11] {
                let (divided, dividedNorm) = try outcome(parts: parts)
                #expect(abs(divided.loss - whole.loss) <= 1e-9 * whole.loss)
                #expect(abs(dividedNorm - norm) <= 1e-5 * norm)
                #expect(divided.correct == whole.correct)
                #expect((divided.flowLoss == nil) == (whole.flowLoss == nil))
                let (flowLoss, expected) = (divided.flowLoss ?? 0, whole.flowLoss ?? 0)
                #expect(abs(flowLoss - expected) <= 1e-9 * expected)
            }
        }
    }

    @Test(
        "is divided among the processes of mpirun, and of no other launcher",
        arguments: [
            ([:], nil), (["OMPI_COMM_WORLD_SIZE": "1"], nil), (["OMPI_COMM_WORLD_SIZE": "4"], 4),
            (["OMPI_COMM_WORLD_SIZE": "4", "PMI_SIZE": "4"], 4), (["PMI_SIZE": "1"], nil),
        ] as [([String: String], Int?)])
    func launcher(environment: [String: String], count: Int?) throws {
        #expect(try Ranks.startedTogether(environment) == count)
        #expect(throws: CommandFailure.self) { try Ranks.startedTogether(["PMI_SIZE": "2"]) }
    }

    @Test("has every image once, in order, over all ranks", arguments: [1, 5, 8, 13])
    func images(count: Int) {
        let images = (0..<3).flatMap { rank in
            BatchDivision(parts: 6, ranks: Ranks(own: rank, count: 3)).ownImages(ofBatch: count)
        }
        #expect(images.flatMap { Array($0) } == Array(0..<count))
        #expect(images.count == 6)
    }
}
