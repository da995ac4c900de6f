import FlowModel
import ReverseODE
import Tensor

/// The last check before a model serves: a fixed input through a whole pass. Every number of the result must be finite. If the
/// file records an earlier answer, the result must match it within the record's tolerance; in bf16, within 0.03 if that is more.
package struct CheckpointSelfTest: Sendable {
    private let kernels: Kernels
    private let pool: WorkerPool

    /// Tests with the kernels and workers that the model will be served by; steps of requests take turns with the test's.
    package init(kernels: Kernels, pool: WorkerPool) {
        self.kernels = kernels
        self.pool = pool
    }

    /// Runs the test. Slow: for Dispatch threads.
    ///
    /// - Throws: `ModelLoadingError` saying how far off the model is, or `TapError` if the model's default tap or the
    ///   record's is not its own.
    package func run(_ model: ReversibleModel) throws {
        guard let record = model.configuration.selfTest else {
            _ = try record(model)
            return
        }
        // Records are made in f32. bf16 differs from f32 by up to 0.01; 0.03 leaves a margin.
        let tolerance = model.precision == .f32 ? record.tolerance : max(record.tolerance, 3e-2)
        let found = try answer(of: model, seed: record.seed, tap: try model.resolve(try Tap(parsing: record.tap)))
        try compare(found.embedding, with: record.embedding, record.tap, tolerance: tolerance)
        if let expected = record.logits {
            try compare(found.logits ?? [], with: expected, "logits", tolerance: tolerance)
        }
    }

    /// What is to be recorded in the model's file. Slow, as `run(_:)`.
    ///
    /// - Throws: `ModelLoadingError` if the answer is not finite, `TapError` if the model's default tap is not its own.
    package func record(_ model: ReversibleModel) throws -> SelfTestRecord {
        let seed: UInt32 = 1
        let answer = try answer(of: model, seed: seed, tap: try model.defaultTap())
        return SelfTestRecord(
            seed: seed, tap: model.configuration.defaultTap, embedding: SelfTestRecord.sample(answer.embedding),
            logits: answer.logits.map { SelfTestRecord.sample($0) })
    }

    private func answer(
        of model: ReversibleModel, seed: UInt32, tap: ResolvedTap
    ) throws -> (embedding: [Float], logits: [Float]?) {
        let integrator = ReverseIntegrator(model: model, capacity: 1, kernels: kernels, pool: pool)
        let input = SelfTestRecord.input(seed: seed, count: model.stateCount)
        var pass = [integrator.trajectory(input: input, taps: [tap], wantsLogits: model.head != nil)]
        integrator.run(&pass)
        let (embedding, logits) = (pass[0].features[0], pass[0].logits)
        guard pass[0].isFinite, (embedding + (logits ?? [])).allSatisfy(\.isFinite) else {
            throw ModelLoadingError(description: "a pass over the self-test's input gives numbers that are not finite")
        }
        return (embedding, logits)
    }

    private func compare(
        _ results: [Float], with expected: [Float], _ place: String, tolerance: Float
    ) throws(ModelLoadingError) {
        let found = SelfTestRecord.sample(results, count: expected.count)
        guard found.count == expected.count else {
            throw ModelLoadingError(
                description: "its self-test records \(expected.count) numbers of \(place), which has \(found.count)")
        }
        let differences = zip(found, expected).map { abs($0 - $1) }
        let scale = max(expected.reduce(0) { max($0, abs($1)) }, .leastNormalMagnitude)
        let worst = differences.indices.max { differences[$0] < differences[$1] } ?? 0
        guard differences[worst] <= tolerance * scale else {
            throw ModelLoadingError(
                description:
                    "its results differ from those recorded in its file: in the self-test, a number of \(place) is "
                    + "\(found[worst]) instead of \(expected[worst]), which is \(differences[worst] / scale) of the largest "
                    + "number there, and \(tolerance) is allowed; either the file is damaged or the \(kernels.name) kernels "
                    + "compute wrongly on this processor")
        }
    }
}
