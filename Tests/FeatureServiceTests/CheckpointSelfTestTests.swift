import FlowModel
import ReverseODE
import Tensor
import Testing

@testable import FeatureService

@Suite("A checkpoint's self-test") struct CheckpointSelfTestTests {
    static let pool = WorkerPool(count: 2)
    static let test = CheckpointSelfTest(kernels: .best, pool: pool)

    /// The tiny model with a record that has been changed.
    static func model(
        seed: UInt64 = 1, _ change: (inout SelfTestRecord) -> Void = { _ in }
    ) throws -> ReversibleModel {
        var record = try test.record(TinyModel.make(pool: pool).model)
        change(&record)
        return try TinyModel.make(seed: seed, selfTest: record, pool: pool).model
    }

    @Test("A model that answers what its file records serves with every set of kernels", arguments: Kernels.all)
    func agrees(kernels: Kernels) throws {
        try CheckpointSelfTest(kernels: kernels, pool: Self.pool).run(Self.model())
    }

    @Test("A model without a record, as in older files, serves if its answer is finite")
    func old() throws { try Self.test.run(TinyModel.make(pool: Self.pool).model) }

    @Test("Within the recorded tolerance a difference is no fault, and beyond it one is", arguments: [0.5, 2])
    func tolerance(times: Float) throws {
        let model = try Self.model { record in
            record.embedding[3] += times * record.tolerance * record.embedding.map(abs).max()!
        }
        if times < 1 {
            try Self.test.run(model)
        } else {
            #expect(throws: ModelLoadingError.self) { try Self.test.run(model) }
        }
    }

    @Test("Other weights than the file was written with are refused, and it is said by how much")
    func otherWeights() throws {
        let error = #expect(throws: ModelLoadingError.self) { try Self.test.run(Self.model(seed: 2)) }
        #expect(error?.description.contains("in the self-test, a number of end/pooled is") == true)
        #expect(error?.description.contains("0.001 is allowed") == true)
        #expect(error?.description.contains(Kernels.best.name) == true)
    }

    @Test("The logits are compared as well")
    func logits() throws {
        let error = #expect(throws: ModelLoadingError.self) {
            try Self.test.run(Self.model { $0.logits![2] += 1 })
        }
        #expect(error?.description.contains("in the self-test, a number of logits is") == true)
    }

    @Test("A record of a tap that the model doesn't have is refused", arguments: ["0.33/pooled", "end/up.99", "soon"])
    func foreignTap(tap: String) throws {
        #expect(throws: TapError.self) { try Self.test.run(Self.model { $0.tap = tap }) }
    }

    @Test("A record of another result's length is refused, and nothing traps")
    func lengths() throws {
        let model = try Self.model {
            $0.tap = "end/head"; $0.embedding = Array(repeating: 0, count: 32)
        }
        let error = #expect(throws: ModelLoadingError.self) { try Self.test.run(model) }
        #expect(error?.description.contains("records 32 numbers of end/head, which has 24") == true)
    }
}
