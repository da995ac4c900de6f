import FeatureService
import FlowModel
import Foundation
import ReverseODE
import Tensor
import TestBench
import TestFixtures
import Testing

@Suite("headwater import") struct ImportCommandTests {
    @Test("What is recorded for the self-test is what the stored weights answer", arguments: ["f32", "f16", "bf16"])
    func selfTest(type: String) async throws {
        let scratch = try Scratch()
        let path = scratch.path("m.safetensors")
        let outcome = try await BuiltProgram.run([
            "import", TestFixtures.path("models/otcfm32-cutoff.pt"), "--image-size", "32", "--path", "otcfm",
            "--t-span", "10", "--t-cutoff", "6", "--dtype", type, "-o", path,
        ])
        try #require(outcome.status == 0, "\(outcome.errors)")
        let pool = WorkerPool(count: 1)
        let served = try ModelLoader(pool: pool).load(path: path)
        let test = CheckpointSelfTest(kernels: .best, pool: pool)
        let recorded = try #require(served.configuration.selfTest)
        #expect(try recorded == test.record(served.model))
        #expect(recorded.embedding.count == 32 && recorded.logits?.count == 10)
        #expect(throws: Never.self) { try test.run(served.model) }
    }
}
