import Augmentation
import Console
import Extraction
import FeatureService
import ImagePipeline
import Plotting
import Training

/// The corruptions to evaluate a head on.
package struct CorruptionSelection: Sendable, Equatable, LosslessStringConvertible {
    package let corruptions: [Corruption]
    /// From 1 to 5.
    package let severities: [Int]

    /// Reads `fog`, `fog:3`, `all` or `all:3`.
    package init?(_ text: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        if parts[0] == "all" {
            corruptions = Corruption.allCases
        } else {
            guard let corruption = Corruption(rawValue: String(parts[0])) else { return nil }
            corruptions = [corruption]
        }
        switch parts.count {
        case 1: severities = Array(Corruption.severities)
        case 2:
            guard let severity = Int(parts[1]), Corruption.severities.contains(severity) else { return nil }
            severities = [severity]
        default: return nil
        }
    }

    package var description: String {
        let name = corruptions.count == 1 ? corruptions[0].rawValue : "all"
        return severities.count == 1 ? "\(name):\(severities[0])" : name
    }
}

/// A head's accuracy on corrupted images.
package struct CorruptionReport: Codable, Equatable {
    /// Of one family at one severity.
    struct Row: Codable, Equatable {
        let corruption: String
        /// From 1 to 5.
        let severity: Int
        /// The fraction of the images whose class has the greatest logit.
        let top1: Double
        /// The fraction whose class has one of the five greatest; nil if there are no more than five classes.
        let top5: Double?
    }

    /// By family, then severity.
    let rows: [Row]
    /// The means over the rows; that of top-5 is nil if a row has none.
    let meanTop1: Double
    let meanTop5: Double?
    /// How often an image was left out of a row's count though it can be used as it is.
    package let failed: Int

    init(rows: [Row], failed: Int) {
        self.rows = rows
        self.failed = failed
        meanTop1 = rows.reduce(0) { $0 + $1.top1 } / Double(rows.count)
        let top5 = rows.compactMap(\.top5)
        meanTop5 = top5.count == rows.count ? top5.reduce(0, +) / Double(rows.count) : nil
    }

    /// Spoils and classifies the images of a set, in every way and severity selected.
    ///
    /// An image that can't be used after corruption is reported and left out of that row.
    ///
    /// - Parameter set: images that can be used as they are; the others have been reported before.
    @MainActor
    package init(
        _ selection: CorruptionSelection, _ set: EvaluationSet, _ extraction: FeatureExtraction, logitIndices: [Int]
    ) async throws {
        var rows: [Row] = []
        var failed = 0
        for corruption in selection.corruptions {
            for severity in selection.severities {
                let tally = try await set.tally(
                    extraction, logitIndices: logitIndices, as: "\(corruption.rawValue):\(severity)"
                ) { image, index in
                    corruption.applied(to: image, severity: severity, seed: UInt64(index))
                }
                failed += set.indices.count - tally.images
                guard tally.images > 0 else {
                    throw CommandFailure(.unusableData, "none of the images could be used with \(corruption.rawValue)")
                }
                rows.append(
                    Row(
                        corruption: corruption.rawValue, severity: severity,
                        top1: tally.top1Accuracy, top5: tally.top5Accuracy))
            }
        }
        self.init(rows: rows, failed: failed)
    }

    /// Two tables, of the families by the severities.
    var text: String {
        "\n" + table("top-1 %", { $0.top1 }, meanTop1)
            + (meanTop5.map { "\n" + table("top-5 %", { $0.top5 ?? 0 }, $0) } ?? "")
            + (failed > 0 ? "\nleft out after corruption: \(failed)\n" : "")
    }

    private func table(_ title: String, _ accuracy: (Row) -> Double, _ mean: Double) -> String {
        let severities = Array(Set(rows.map(\.severity))).sorted()
        let families = Corruption.allCases.map(\.rawValue).filter { name in rows.contains { $0.corruption == name } }
        func line(_ name: String, _ cells: [String]) -> String {
            name.padded(16) + cells.map { " " + $0.leftPadded(7) }.joined() + "\n"
        }
        func cell(_ values: [Double]) -> String {
            let tenths = Int((values.reduce(0, +) / Double(max(values.count, 1)) * 1000).rounded())
            return "\(tenths / 10).\(tenths % 10)"
        }
        func values(_ isMeant: (Row) -> Bool) -> [Double] { rows.filter(isMeant).map(accuracy) }
        var text = line(title, severities.map { "\($0)" } + ["mean"])
        for family in families {
            text += line(
                family,
                severities.map { severity in cell(values { $0.corruption == family && $0.severity == severity }) }
                    + [cell(values { $0.corruption == family })])
        }
        guard families.count > 1 else { return text }
        return text
            + line("mean", severities.map { severity in cell(values { $0.severity == severity }) } + [cell([mean])])
    }
}

extension EvaluationSet {
    /// Counts what the head says of changed images; one that can't be used is reported and left out.
    ///
    /// - Parameters:
    ///   - activity: what the progress bar and reports call the change.
    ///   - change: what becomes of a picture as the model sees it, resized and cropped; with its index in the data set.
    func tally(
        _ extraction: FeatureExtraction, logitIndices: [Int], as activity: String,
        change: @escaping @Sendable (RGBImage, Int) -> RGBImage
    ) async throws -> EvaluationTally {
        var tally = EvaluationTally()
        let (images, indices, preprocessing) = (images, indices, extraction.served.preprocessing)
        let decoding = extraction.decoding
        let bar = ProgressBar(activity, of: indices.count)
        defer { bar.erase() }
        try await extraction.run(
            count: indices.count, FeatureRequest(taps: [], wantsLogits: true),
            inputs: { position in
                let index = indices[position]
                let bytes = try images.bytes(at: index, maximumBytes: FeatureExtraction.maximumBytes)
                let picture = try preprocessing.croppedImage(
                    for: bytes, limits: images.limits, decoding: decoding)
                return .normalized(preprocessing.normalized(change(picture, index)))
            }
        ) { position, result in
            let item = images.items[indices[position]]
            switch result {
            case .failure(let problem): bar.report("headwater: \(activity): \(problem.located(at: item.path))")
            case .success(let features): tally.add(logits: features.logits!, answer: logitIndices[item.label])
            }
            bar.update(position + 1)
        }
        return tally
    }
}
