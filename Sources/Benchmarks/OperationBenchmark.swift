import Networks
import Plotting
import Tensor

/// Times single operations at the sizes of the published networks, with random weights.
package struct OperationBenchmark: Codable, Sendable {
    package struct Measurement: TableRow {
        let operation: String
        let batch: Int
        /// Milliseconds an image.
        let time: Spread
        /// Operations of the direct algorithm a second, from the median, in 10⁹.
        let effectiveGigaflops: Double
    }

    /// In the order of `OperationCase.benchmarked`, batch by batch.
    let measurements: [Measurement]

    /// Measures each case and batch size for about `seconds`.
    ///
    /// - Parameter report: called with each row once it is measured.
    package init(batches: [Int], seconds: Double, on computation: Computation, report: (Measurement) -> Void) throws {
        measurements = try OperationCase.benchmarked.flatMap { operation in
            let field = try Self.field(operation.program, computation)
            return batches.map { batch in
                let measurement = Self.measure(operation, field, batch: batch, seconds: seconds, computation)
                report(measurement)
                return measurement
            }
        }
    }

    private static func field(_ program: NetworkProgram, _ computation: Computation) throws -> VelocityField {
        let counts = Dictionary(uniqueKeysWithValues: program.parameters.map { ($0.key, $0.count) })
        return try VelocityField(
            program, times: [0.5], precision: computation.precision, kernels: computation.kernels,
            pool: computation.pool
        ) { key in NetworkBenchmark.input(count: counts[key]!).map { $0 / 16 } }
    }

    private static func measure(
        _ operation: OperationCase, _ field: VelocityField, batch: Int, seconds: Double, _ computation: Computation
    ) -> Measurement {
        let evaluator = VelocityEvaluator(field, capacity: batch, kernels: computation.kernels, pool: computation.pool)
        let input = NetworkBenchmark.input(count: field.program.stateCount)
        for n in 0..<batch { evaluator.setInput(n, planes: input, time: 0) }
        // One run takes too short a time for the clock's own cost.
        let repeats = max(1, 50_000_000 / (batch * field.program.floatingPointOperations()))
        let spread = Spread.measured(for: seconds) {
            for _ in 0..<repeats { evaluator.evaluate(batch: batch) }
        }
        let time = spread.divided(by: Double(repeats * batch))
        return Measurement(
            operation: operation.description, batch: batch, time: time,
            effectiveGigaflops: Double(field.program.floatingPointOperations()) / time.median / 1e6)
    }
}

extension OperationBenchmark.Measurement {
    package static let columns = TextColumns([("operation", -44), ("batch", 6), ("ms", 26), ("GFLOP/s", 9)])

    package var cells: [String] { [operation, "\(batch)", time.text(digits: 4), "\(Int(effectiveGigaflops))"] }
}
