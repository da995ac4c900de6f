import Tensor
import Training

/// Classification by one linear layer on embeddings that don't change: how linearly separable the classes are in a representation
/// (Alain and Bengio 2016).
///
/// Embeddings of length 1 are brought to mean 0 and variance 1 in every dimension by the training set's moments, and
/// ``LogisticRegression`` is solved on them.
struct LinearProbe: Sendable {
    /// Classes that it tells apart: one more than the greatest label of its training set.
    var classes: Int { regression.classes }

    let regression: LogisticRegression
    private let standardization: Standardization

    /// Below this part of a dimension's mean, what varies is the rounding of f32.
    private static let leastDeviation = 1e-6

    /// Trains a probe on at least one embedding, with a penalty above 0.
    ///
    /// - Parameter progress: told the iterations done; what it throws is rethrown.
    init(
        _ training: LabelledEmbeddings, penalty: Double = LogisticRegression.defaultPenalty, on pool: WorkerPool,
        progress: (Int) throws -> Void
    ) rethrows {
        precondition(training.count > 0, "a probe learns from something")
        standardization = Standardization(
            training.values, count: training.count, dimension: training.dimension, leastDeviation: Self.leastDeviation)
        regression = try LogisticRegression(
            standardization.rows(of: training), classes: training.labels.max()! + 1, penalty: penalty, on: pool,
            progress: progress)
    }

    /// How many of `queries` are classified correctly; of equal logits the first counts.
    func correct(_ queries: LabelledEmbeddings) -> Int {
        precondition(queries.dimension == standardization.means.count, "embeddings of another tap")
        var correct = 0
        regression.forEachRow(of: standardization.rows(of: queries)) { row, logits in
            let label = queries.labels[row]
            // A class that the probe has never seen can't be right.
            if label < classes, EvaluationTally.place(of: label, in: logits) == 0 { correct += 1 }
        }
        return correct
    }
}

extension Standardization {
    fileprivate func rows(of embeddings: LabelledEmbeddings) -> FeatureRows {
        let dimension = embeddings.dimension
        let buffer = AlignedBuffer(count: embeddings.count * dimension)
        embeddings.values.withUnsafeBufferPointer { values in
            for row in 0..<embeddings.count {
                for d in 0..<dimension {
                    let i = row * dimension + d
                    buffer.pointer[i] = Float((Double(values[i]) - means[d]) * factors[d])
                }
            }
        }
        return FeatureRows(values: buffer, labels: embeddings.labels, dimension: dimension)
    }
}
