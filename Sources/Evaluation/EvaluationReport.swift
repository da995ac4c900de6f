import Console
import Extraction
import FeatureService
import JSON
import Plotting
import ReverseODE
import Tensor
import Training

package struct EvaluationReport: Codable, Equatable {
    /// The k-nearest-neighbour accuracy of a tap.
    struct Neighbours: Codable, Equatable {
        let time: Float
        let place: String
        /// Steps of the solver from the image to the tap.
        let steps: Int
        /// Neighbours that vote.
        let k: Int
        /// Images among which neighbours were sought.
        let references: Int
        /// Whether each image's neighbours are the other images of the same set.
        let leavesOneOut: Bool
        /// The fraction of the images that are classified correctly.
        let accuracy: Double
    }

    /// The accuracy of a linear classifier trained on a tap's embeddings.
    struct Probe: Codable, Equatable {
        let time: Float
        let place: String
        /// Steps of the solver from the image to the tap.
        let steps: Int
        /// Images that it was trained on.
        let references: Int
        let iterations: Int
        /// The fraction of the images that are classified correctly.
        let accuracy: Double
    }

    /// The model's name and version.
    let model: String
    let version: String
    let kernels: String
    let images: Int
    /// Images left out, those of --train included; not those that a corruption makes unusable.
    package var failed: Int
    /// The fraction of the images whose class has the greatest logit; nil without a head.
    let top1: Double?
    /// The fraction whose class has one of the five greatest; nil also where there are no more than five classes.
    let top5: Double?
    /// What became of every class's images; nil without a head.
    let classes: [ClassAccuracy]?
    /// By tap.
    var neighbours: [Neighbours] = []
    /// By tap.
    var probes: [Probe] = []
    /// Nil unless it was asked for.
    package var corruptions: CorruptionReport?
    /// Nil unless it was asked for.
    package var samples: SampleQuality?
    /// Nil unless it was asked for.
    package var roundTrips: RoundTripQuality?
    /// For the images, reading and decoding included.
    let seconds: Double

    /// Reports what was measured of a set, neighbours, probes and corruptions still missing.
    @MainActor
    package init(_ extraction: FeatureExtraction, _ measured: EvaluationSet.Measured) {
        let served = extraction.served
        model = served.version.name
        version = served.version.label
        kernels = extraction.computation.kernels.name
        images = measured.images
        failed = measured.unusable.count
        top1 = measured.hasHead ? measured.tally.top1Accuracy : nil
        top5 = measured.hasHead ? measured.tally.top5Accuracy : nil
        classes =
            measured.hasHead
            ? ClassAccuracy.rows(measured.confusion, labels: served.configuration.labels ?? []) : nil
        seconds = measured.seconds
    }

    /// Adds the accuracy of the `k` nearest neighbours at every tap.
    ///
    /// - Parameter known: the candidates; nil for the other images of the same set.
    /// - Throws: `CancellationError`.
    @MainActor
    package mutating func measureNeighbours(
        _ k: Int, of measured: EvaluationSet.Measured, among known: EvaluationSet.Measured?, on pool: WorkerPool
    ) throws {
        for (index, tap) in measured.taps.enumerated() {
            let queries = measured.embeddings[index]
            let references = known?.embeddings[index] ?? queries
            let search = NearestNeighbours(among: references, k: k)
            let bar = ProgressBar("neighbours at \(tap.name)", of: queries.count)
            defer { bar.erase() }
            let correct = try search.correct(known == nil ? nil : queries, on: pool) { done in
                try Task.checkCancellation()
                bar.update(done)
            }
            neighbours.append(
                Neighbours(
                    time: tap.time, place: tap.place.description, steps: tap.gridIndex, k: k,
                    references: references.count, leavesOneOut: known == nil,
                    accuracy: Double(correct) / Double(queries.count)))
        }
    }

    /// Adds the accuracy of a linear probe at every tap.
    ///
    /// - Parameter known: what probes are trained on.
    /// - Throws: `CancellationError`.
    @MainActor
    package mutating func measureProbes(
        of measured: EvaluationSet.Measured, trainedOn known: EvaluationSet.Measured, on pool: WorkerPool
    ) throws {
        for (index, tap) in measured.taps.enumerated() {
            let (queries, references) = (measured.embeddings[index], known.embeddings[index])
            let bar = ProgressBar("probe at \(tap.name)", of: LogisticRegression.iterationLimit, unit: "iterations")
            defer { bar.erase() }
            let probe = try LinearProbe(references, on: pool) { done in
                try Task.checkCancellation()
                bar.update(done)
            }
            probes.append(
                Probe(
                    time: tap.time, place: tap.place.description, steps: tap.gridIndex, references: references.count,
                    iterations: probe.regression.iterations,
                    accuracy: Double(probe.correct(queries)) / Double(queries.count)))
        }
    }
}

// MARK: - Renderings

extension EvaluationReport {
    /// The report as a JSON document, indented, with a line end.
    package func json() throws -> String { try JSONCoder.text(self, indented: true) + "\n" }

    /// For people.
    package var text: String {
        var rows = [
            ("model", "\(model) (\(version)), \(kernels) kernels"),
            ("images", "\(images)" + (failed > 0 ? ", and \(failed) left out" : "")),
        ]
        // Images that are only decoded say nothing of the model's speed.
        if top1 != nil || !neighbours.isEmpty || !probes.isEmpty {
            let pace = Pace.rounded(Double(images) / max(seconds, 1e-9))
            rows.append(("time", "\(Pace.clock(seconds)), \(pace) images/s"))
        }
        if let top1 { rows.append(("top-1", percent(top1))) }
        if let top5 { rows.append(("top-5", percent(top5))) }
        for found in neighbours {
            let place = found.leavesOneOut ? "the others" : "\(found.references) references"
            rows.append(("\(found.k)-NN", "\(percent(found.accuracy)) at \(found.time)/\(found.place), among \(place)"))
        }
        for found in probes {
            rows.append(
                (
                    "probe",
                    "\(percent(found.accuracy)) at \(found.time)/\(found.place), trained on \(found.references) images"
                ))
        }
        if let samples { rows += [("samples", samples.text.samples), ("real", samples.text.real)] }
        if let roundTrips { rows.append(("returns", roundTrips.text)) }
        return rows.map { "\($0.0.padded(8)) \($0.1)\n" }.joined()
            + (classes.map { "\n" + ClassAccuracy.table($0) } ?? "") + (corruptions?.text ?? "")
    }

    private func percent(_ fraction: Double) -> String { "\((fraction * 10_000).rounded() / 100) %" }

    /// Accuracy over the steps from the image, a line for every place: what each level of the flow tells of the classes.
    /// Times would run backwards on some paths and not on others.
    package var plot: String {
        var plots: [LinePlot] = []
        if let k = neighbours.first?.k {
            plots.append(Self.plot("\(k) nearest neighbours", neighbours.map { ($0.place, $0.steps, $0.accuracy) }))
        }
        if !probes.isEmpty { plots.append(Self.plot("Linear probe", probes.map { ($0.place, $0.steps, $0.accuracy) })) }
        return LinePlot.svg(plots, title: "\(model): accuracy at each cutoff")
    }

    private static func plot(_ title: String, _ found: [(place: String, steps: Int, accuracy: Double)]) -> LinePlot {
        var places: [String] = []
        for row in found where !places.contains(row.place) { places.append(row.place) }
        return LinePlot(
            title: title, xLabel: "steps from the image", yLabel: "accuracy",
            series: places.map { place in
                let rows = found.filter { $0.place == place }.sorted { $0.steps < $1.steps }
                return LinePlot.Series(place, rows.map { LinePlot.Point(Double($0.steps), $0.accuracy) })
            })
    }
}
