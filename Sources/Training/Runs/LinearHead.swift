import CheckpointFormats
import Tensor

/// The linear head, LayerNorm and Linear, that classifies features best: ``LogisticRegression`` on what the LayerNorm gives, whose
/// scales and offsets bring every dimension to mean 0 and variance 1 over the training images.
package struct LinearHead: Sendable {
    /// What a penalty led to.
    struct Attempt: Sendable, Equatable {
        /// Half of it times the squared weights was added to the loss.
        let penalty: Double
        let iterations: Int
        /// On the images trained on.
        let training: ValidationScore
        /// On the images held back; nil if there are none.
        let validation: ValidationScore?
    }

    /// The penalties tried where images are held back to choose one by, from strong to weak: each solution begins at the
    /// one before.
    package static let penalties = [1, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5]

    /// The penalty where there is nothing to choose one by: ever weaker with more images, as they then say enough themselves.
    ///
    /// - Parameter images: trained on, at least one.
    static func defaultPenalty(images: Int) -> Double { 10 / Double(images) }

    let attempts: [Attempt]
    /// The one whose weights these are: that with the least loss on the images held back.
    let best: Attempt
    private let scales: [Float]
    private let offsets: [Float]
    /// [classes][width], then [classes] biases.
    private let parameters: [Float]
    private let classes: Int

    /// A dimension that deviates less, as part of its mean or of the LayerNorm's deviation, which is 1, would be scaled up to
    /// little but rounding, beyond what f16 holds.
    private static let leastDeviation = 1e-4

    /// Solves for the head under each of the penalties and keeps the best solution.
    ///
    /// - Parameters:
    ///   - training: all computed.
    ///   - validation: all computed; nil leaves the choice to the training loss, so then give one penalty.
    ///   - penalties: above 0, at least one.
    ///   - balancesClasses: whether every class counts the same in the loss, however many images it has. The scores of
    ///     attempts count images.
    ///   - type: how the head will be stored: its scales and offsets are rounded before the regression, which so makes up for
    ///     their rounding.
    ///   - progress: told the iterations done under a penalty; what it throws is rethrown.
    /// - Throws: `CheckpointError` if the type can't hold a scale.
    init(
        _ training: HeadFeatures, validation: HeadFeatures?, classes: Int, penalties: [Double],
        balancesClasses: Bool = false, storing type: ElementType, on pool: WorkerPool,
        progress: (_ penalty: Double, _ iterations: Int) throws -> Void
    ) throws {
        precondition(!penalties.isEmpty && (validation != nil || penalties.count == 1))
        let moments = training.standardization(leastDeviation: Self.leastDeviation, floor: Self.leastDeviation)
        scales = try type.rounded(moments.factors.map { Float($0) })
        offsets = try type.rounded(zip(moments.means, moments.factors).map { Float(-$0 * $1) })
        self.classes = classes
        let rows = training.rows(scales: scales, offsets: offsets, balancesClasses: balancesClasses)
        let held = validation.map { [scales, offsets] in $0.rows(scales: scales, offsets: offsets) }
        var (attempts, chosen): ([Attempt], (attempt: Attempt, parameters: [Double])?) = ([], nil)
        var last: [Double]?
        for penalty in penalties {
            let found = try LogisticRegression(rows, classes: classes, penalty: penalty, from: last, on: pool) {
                try progress(penalty, $0)
            }
            last = found.parameters
            let attempt = Attempt(
                penalty: penalty, iterations: found.iterations, training: found.score(on: rows),
                validation: held.map { found.score(on: $0) })
            attempts.append(attempt)
            if chosen.map({ Self.isBetter(attempt, than: $0.attempt) }) ?? true { chosen = (attempt, found.parameters) }
        }
        self.attempts = attempts
        best = chosen!.attempt
        parameters = chosen!.parameters.map { Float($0) }
    }

    /// By the loss, which tells more than the accuracy of a few images does.
    private static func isBetter(_ attempt: Attempt, than other: Attempt) -> Bool {
        guard let loss = attempt.validation?.loss, let least = other.validation?.loss else { return false }
        return loss < least
    }

    /// The weights of one of the head's parameters, `classifier.{0,1}.{weight,bias}`, row-major; nil for another key.
    func weights(_ key: String) -> [Float]? {
        switch key {
        case "classifier.0.weight": scales
        case "classifier.0.bias": offsets
        case "classifier.1.weight": Array(parameters.dropLast(classes))
        case "classifier.1.bias": Array(parameters.suffix(classes))
        default: nil
        }
    }

    /// The attempts as comma-separated values with a line of column names. Fractions, not percents; empty where there is
    /// nothing to say.
    var csv: String {
        attempts.reduce(into: "penalty,iterations,loss,top1,validation_loss,validation_top1\n") { text, attempt in
            text += csvLine([
                attempt.penalty, attempt.iterations, attempt.training.loss, attempt.training.top1,
                attempt.validation?.loss, attempt.validation?.top1,
            ])
        }
    }
}

extension LogisticRegression {
    /// The mean cross-entropy and the top-1 accuracy.
    fileprivate func score(on rows: FeatureRows) -> ValidationScore {
        var tally = EvaluationTally()
        forEachRow(of: rows) { row, logits in tally.add(logits: logits, answer: rows.labels[row]) }
        return tally.score
    }
}
