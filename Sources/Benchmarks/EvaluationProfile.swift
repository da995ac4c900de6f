import CKernels
import Layers
import Plotting
import ReverseODE
import Tensor

/// The time of an evaluation by kind and size of layer, compared with the most that the processor can do.
package struct EvaluationProfile: Codable, Sendable {
    /// Layers of one algorithm, precision and size.
    struct Row: Codable, Sendable {
        /// Algorithm and precision.
        let kind: String
        /// Height and width of their outputs in pixels.
        let side: Int
        /// Parallel sections of one evaluation, each ending in a barrier.
        let sections: Int
        /// Milliseconds an image.
        let milliseconds: Double
        /// Part of the evaluation's time.
        let share: Double
        /// Operations of the direct algorithm a second, in 10⁹.
        let effectiveGigaflops: Double
        /// Operations of the matrix products a second as part of the micro-kernel's peak in that precision.
        let shareOfPeak: Double
        /// Packed weights read an evaluation, in MiB.
        let weightMebibytes: Double
    }

    let model: String
    let batch: Int
    /// Of the GEMM on matrices that stay in the first-level cache, all workers together, in 10⁹ operations a second.
    let peakGigaflops: [String: Double]
    /// By falling time.
    let rows: [Row]
    /// Milliseconds an image between the sections: the solver's arithmetic, tails of the network, dispatching.
    let remainder: Double

    /// Profiles about `seconds` of evaluations after a warm-up.
    package init(name: String, model: ReversibleModel, batch: Int, seconds: Double, on computation: Computation) throws
    {
        let (kernels, pool) = (computation.kernels, computation.pool)
        let integrator = ReverseIntegrator(model: model, capacity: batch, kernels: kernels, pool: pool)
        let end = try model.resolve(Tap(time: .end, place: .pooled))
        let input = NetworkBenchmark.input(count: model.stateCount)
        func pass() -> Int {
            var trajectories = (0..<batch).map { _ in
                integrator.trajectory(input: input, taps: [end], wantsLogits: false)
            }
            integrator.run(&trajectories)
            return model.evaluationsPerPass
        }
        _ = pass()
        let profile = LayerProfile()
        integrator.evaluator.workspace.profile = profile
        let clock = ContinuousClock()
        let start = clock.now
        var evaluations = 0
        while evaluations == 0 || start.duration(to: clock.now) < .seconds(seconds) { evaluations += pass() }
        let total = start.duration(to: clock.now) / .milliseconds(1)

        let peaks = Dictionary(
            uniqueKeysWithValues: Precision.allCases.filter(kernels.computes).map {
                ($0, Self.peakGigaflops(kernels, in: $0, pool: pool))
            })
        let scale = 1 / Double(evaluations * batch)
        let rows = Dictionary(grouping: profile.entries) { Class(plan: $0.key) }.map { key, entries in
            Row(key, entries, evaluations: evaluations, batch: batch, total: total, peak: peaks[key.precision]!)
        }
        self.model = name
        self.batch = batch
        peakGigaflops = Dictionary(uniqueKeysWithValues: peaks.map { ($0.rawValue, $1) })
        self.rows = rows.sorted { $0.milliseconds > $1.milliseconds }
        remainder = total * scale - rows.reduce(0) { $0 + $1.milliseconds }
    }

    fileprivate struct Class: Hashable {
        let kind: LayerPlan.Kind
        let precision: Precision
        let side: Int

        init(plan: LayerPlan) { (kind, precision, side) = (plan.kind, plan.precision, plan.side) }
    }

    /// The micro-kernel at its best: both factors in the first-level cache, no barriers.
    private static func peakGigaflops(_ kernels: Kernels, in precision: Precision, pool: WorkerPool) -> Double {
        let (rows, k, blocks, repeats) = (4 * kernels.tileRows(in: precision), 128, 2, 2_000)
        let words = precision == .f32 ? 16 : 8
        let clock = ContinuousClock()
        var best = 0.0
        for _ in 0..<10 {
            let start = clock.now
            pool.run { _ in
                let (a, b) = (AlignedBuffer(count: rows * k), AlignedBuffer(count: blocks * k * 16))
                let c = AlignedBuffer(count: blocks * rows * 16)
                for _ in 0..<repeats {
                    kernels.gemm(
                        hw_gemm_arguments(
                            a: a.pointer, a_block_stride: rows * words, a_group_stride: 0, group_rows: rows,
                            b: b.pointer, b_panel_stride: k * words, c: c.pointer, c_block_stride: rows * 16,
                            rows: rows, k: k, blocks: blocks, bias: nil, residual: nil, residual_block_stride: 0),
                        in: precision)
                }
                withExtendedLifetime((a, b, c)) {}
            }
            let operations = 2 * rows * k * blocks * 16 * repeats * pool.count
            best = max(best, Double(operations) / (start.duration(to: clock.now) / .nanoseconds(1)))
        }
        return best
    }
}

extension EvaluationProfile.Row {
    fileprivate init(
        _ layers: EvaluationProfile.Class, _ entries: [(key: LayerPlan, value: LayerProfile.Entry)], evaluations: Int,
        batch: Int, total: Double, peak: Double
    ) {
        var (time, sections) = (0.0, 0)
        var (direct, products, weights) = (0.0, 0.0, 0.0)
        for (plan, entry) in entries {
            time += entry.duration / .milliseconds(1)
            sections += entry.sections
            direct += 2 * Double(plan.multiplyAdds * entry.sections * batch)
            products += 2 * Double(plan.products * entry.sections * batch)
            weights += Double(plan.weightBytes * entry.sections)
        }
        kind = layers.kind.rawValue + (layers.precision == .f32 ? "" : " " + layers.precision.rawValue)
        side = layers.side
        self.sections = sections / evaluations
        milliseconds = time / Double(evaluations * batch)
        share = time / total
        effectiveGigaflops = direct / time / 1e6
        shareOfPeak = products / time / 1e6 / peak
        weightMebibytes = weights / Double(evaluations) / Double(1 << 20)
    }
}

extension EvaluationProfile {
    package var table: String {
        let peaks = peakGigaflops.sorted { $0.key < $1.key }.map { "\($0.key) \(Int($0.value)) GFLOP/s" }
        var lines = ["", "\(model) in batches of \(batch); peak of the micro-kernel: \(peaks.joined(separator: ", "))"]
        let columns = TextColumns([
            ("layers", -18), ("side", 5), ("sections", 9), ("ms/image", 10), ("share", 8), ("GFLOP/s", 9),
            ("of peak", 9), ("weights MiB", 13),
        ])
        lines.append(columns.head)
        lines += rows.map { row in
            columns.line([
                row.kind, "\(row.side)", "\(row.sections)", "\(rounded(row.milliseconds, 3))",
                "\(rounded(row.share * 100, 1)) %", "\(Int(row.effectiveGigaflops))",
                "\(rounded(row.shareOfPeak * 100, 0)) %", "\(rounded(row.weightMebibytes, 1))",
            ])
        }
        let sections = rows.reduce(0) { $0 + $1.sections }
        let milliseconds = rows.reduce(remainder) { $0 + $1.milliseconds }
        lines.append(
            columns.line(["all", "", "\(sections)", "\(rounded(milliseconds, 3))"])
                + "   between the sections \(rounded(remainder, 3))")
        return lines.joined(separator: "\n")
    }
}
