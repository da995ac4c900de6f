public import FlowModel
import Plotting
public import Tensor

extension ReversibleModel {
    /// A line a layer. A division AxB means that the rows of all images are divided among A workers, and the output
    /// channels among B; "images", that each worker evaluates whole images of its own.
    public func planTable(batches: [Int], on pool: WorkerPool) -> String {
        let plans = batches.map { field.plans(batch: $0, on: pool) }
        guard let first = plans.first else { return "" }
        let isDivided = batches.map { field.isDividedByImages(batch: $0, workers: pool.count) }
        let columns = TextColumns(
            [("layer", -34), ("algorithm", -16), ("channels", 12), ("side", 5), ("weights KiB", 12)]
                + batches.map { ("batch \($0)", 10) })
        var lines = [columns.head]
        for (index, (key, plan)) in first.enumerated() {
            let algorithm = plan.kind.rawValue + (plan.precision == .f32 ? "" : " " + plan.precision.rawValue)
            let divisions = zip(isDivided, plans).map { isDivided, plans in
                isDivided ? "images" : "\(plans[index].plan.unitParts)x\(plans[index].plan.blockParts)"
            }
            lines.append(
                columns.line(
                    [key, algorithm, "\(plan.inputs)>\(plan.outputs)", "\(plan.side)", "\(plan.weightBytes >> 10)"]
                        + divisions))
        }
        let weights = first.reduce(0) { $0 + $1.plan.weightBytes }
        lines.append("packed weights \(weights >> 20) MiB")
        for (index, batch) in batches.enumerated() {
            let shared = isDivided[index] ? 0 : plans[index].reduce(0) { $0 + $1.plan.sharedBytes(batch: batch) }
            lines.append(
                "batch \(batch): workers synchronise \(isDivided[index] ? "once" : "\(first.count) times") an evaluation and read at most "
                    + "\(shared >> 10) KiB of each other's activations")
        }
        return lines.joined(separator: "\n")
    }
}

extension ModelDescription {
    /// The description for people, a line per property, with what a file of the model has beyond it.
    public func text(of file: ModelFile) -> String {
        func inThousandths(_ value: Double) -> Double { (value * 1000).rounded() / 1000 }
        func list(_ values: [some Any]) -> String { values.map { "\($0)" }.joined(separator: ", ") }
        let upTo = file.network.places.map { place in
            "\(place) \(inThousandths(Double(file.network.floatingPointOperations(through: place)) / 1e9))"
        }
        let path = pass.flow?.description ?? pass.path?.rawValue ?? ""
        let toHead = head?.point == nil ? "" : ", \(pass.headEvaluations ?? 0) to where the head reads"
        var rows: [(name: String, value: String)] = [
            ("name", name),
            ("version", version),
            ("sha256", sha256),
            ("size", "\(byteCount) bytes, weights stored as \(storedType)"),
            ("network", "\(architecture)"),
            ("head", head.map { Self.text(of: $0, time: pass.headTime) } ?? "none: pretrained only"),
            ("parameters", "\(parameters)"),
            ("cost", "\(inThousandths(gigaflopsPerEvaluation)) GFLOP per evaluation"),
            ("cost up to", "\(list(upTo)) GFLOP"),
            (pass.flow == nil ? "path" : "flow", "\(path), integrated by \(pass.solver)"),
            ("grid", list(pass.times) + (pass.reachesNoise ? "" : ", which ends before noise")),
            ("evaluations", "\(pass.evaluations) per image\(toHead)"),
            (
                "input",
                "shorter side to \(preprocessing.resizeShorterSide), centre \(preprocessing.cropSize)x"
                    + "\(preprocessing.cropSize), mean \(list(preprocessing.mean)), deviation "
                    + list(preprocessing.standardDeviation)
            ),
            ("default tap", defaultTap),
            ("places", places.map(\.summary).joined(separator: ", ")),
        ]
        if let levels = pass.noiseLevels { rows.append(("noise", list(levels))) }
        rows.append(
            (
                "self-test",
                file.configuration.selfTest.map {
                    "\($0.embedding.count) numbers at \($0.tap) and \($0.logits?.count ?? 0) logits recorded, tolerance "
                        + "\($0.tolerance)"
                } ?? "nothing recorded"
            ))
        if let labels = labels { rows.append(("labels", list(labels))) }
        return rows.map { "\($0.name.padded(12)) \($0.value)\n" }.joined()
    }

    /// - Parameter time: where on the way the head reads, if not at its end.
    private static func text(of head: HeadConfiguration, time: Float?) -> String {
        let time = head.point == nil ? "the end of the pass" : "\(time ?? 0)"
        let pooled = "a \(head.pooledSize)x\(head.pooledSize) pooled state"
        let state = head.point == nil ? pooled : "\(pooled) at \(time)"
        let input = head.place.map { "\($0) at \(time), one evaluation more" } ?? state
        let layers = head.hiddenWidth.map { "hidden width \($0)" } ?? "linear"
        return "\(head.classes) classes from \(input), \(layers)"
    }
}
