public import Tensor

#if canImport(Glibc)
    import Glibc
#endif

/// Classification by one linear layer on embeddings that don't change: how much of the classes lies open in a representation
/// (Alain and Bengio 2016).
///
/// Multinomial logistic regression: embeddings of length 1 are brought to mean 0 and variance 1 in every dimension by the
/// training set's moments, then the mean cross-entropy plus half the penalty times the squared weights, biases excepted, is
/// minimised by L-BFGS over the whole set at once. The problem is convex and its minimum unique but for a number added to all
/// biases, so what is found depends neither on a seed nor on a schedule; its bits don't depend on the number of workers.
public struct LinearProbe: Sendable {
    /// The penalty if none is given: small beside the loss, yet enough that separable classes have a finite answer.
    public static let defaultPenalty = 1e-3
    /// Most iterations of L-BFGS.
    public static let iterationLimit = 300
    /// Iterations end where no component of the gradient is larger.
    static let tolerance = 1e-5

    /// Classes that it tells apart: one more than the greatest label of its training set.
    public let classes: Int
    /// Iterations taken.
    public let iterations: Int
    /// The penalised loss that they led to.
    public let loss: Double

    /// [classes][dimension], then [classes] biases.
    let parameters: [Double]
    private let standardization: Standardization

    /// Trains a probe.
    ///
    /// - Parameters:
    ///   - training: at least one embedding.
    ///   - penalty: above 0.
    ///   - progress: told the iterations done; what it throws is rethrown.
    public init(
        _ training: LabelledEmbeddings, penalty: Double = Self.defaultPenalty, on pool: WorkerPool,
        progress: (Int) throws -> Void
    ) rethrows {
        precondition(training.count > 0 && penalty > 0, "a probe learns from something, under a penalty")
        classes = training.labels.max()! + 1
        standardization = Standardization(training)
        let objective = ProbeObjective(
            standardization.applied(to: training), training.labels, dimension: training.dimension, classes: classes,
            penalty: penalty, pool: pool)
        let start = [Double](repeating: 0, count: classes * (training.dimension + 1))
        let minimum = try LimitedMemoryBFGS(tolerance: Self.tolerance, iterationLimit: Self.iterationLimit).minimum(
            from: start, objective.value, progress: progress)
        (parameters, iterations, loss) = (minimum.point, minimum.iterations, minimum.value)
    }

    /// How many of `queries` are classified correctly; of equal logits the first counts.
    public func correct(_ queries: LabelledEmbeddings) -> Int {
        precondition(queries.dimension == standardization.means.count, "embeddings of another tap")
        let weights = parameters.map { Float($0) }
        let features = standardization.applied(to: queries)
        var logits = [Float](repeating: 0, count: Self.block * classes)
        var correct = 0
        for first in stride(from: 0, to: queries.count, by: Self.block) {
            let rows = first..<min(first + Self.block, queries.count)
            Self.logits(features, rows, weights, dimension: queries.dimension, classes: classes, into: &logits)
            correct += rows.count { row in
                let own = Array(logits[((row - first) * classes)..<((row - first + 1) * classes)])
                // A class that the probe has never seen can't be right.
                return queries.labels[row] < classes && EvaluationTally.place(of: queries.labels[row], in: own) == 0
            }
        }
        return correct
    }

    /// Rows that are multiplied at a time; their features stay in a core's cache for the gradient.
    fileprivate static let block = 128

    fileprivate static func logits(
        _ features: AlignedBuffer, _ rows: Range<Int>, _ parameters: [Float], dimension: Int, classes: Int,
        into logits: UnsafeMutablePointer<Float>
    ) {
        BLAS.multiply(
            features.pointer + rows.lowerBound * dimension, transposed: parameters, into: logits, rows: rows.count,
            columns: classes, depth: dimension)
        for n in 0..<rows.count {
            for c in 0..<classes { logits[n * classes + c] += parameters[classes * dimension + c] }
        }
    }
}

/// What brings a set of embeddings to mean 0 and variance 1 in every dimension. One that doesn't vary becomes 0.
private struct Standardization: Sendable {
    let means: [Double]
    let factors: [Double]

    init(_ embeddings: LabelledEmbeddings) {
        let (dimension, count) = (embeddings.dimension, Double(embeddings.count))
        var means = [Double](repeating: 0, count: dimension)
        var squares = means
        embeddings.values.withUnsafeBufferPointer { values in
            for row in 0..<embeddings.count {
                for d in 0..<dimension { means[d] += Double(values[row * dimension + d]) }
            }
            for d in 0..<dimension { means[d] /= count }
            for row in 0..<embeddings.count {
                for d in 0..<dimension {
                    let difference = Double(values[row * dimension + d]) - means[d]
                    squares[d] += difference * difference
                }
            }
        }
        self.means = means
        factors = zip(means, squares).map { mean, square in
            let deviation = (square / count).squareRoot()
            // Below this, what varies is the rounding of f32.
            return deviation > 1e-6 * abs(mean) ? 1 / deviation : 0
        }
    }

    func applied(to embeddings: LabelledEmbeddings) -> AlignedBuffer {
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
        return buffer
    }
}

/// A probe's penalised loss and its gradient.
private struct ProbeObjective {
    let features: AlignedBuffer
    let labels: [Int]
    let dimension: Int
    let classes: Int
    let penalty: Double
    let pool: WorkerPool

    /// Sums are over so many parts of the set, whoever computes them, so that bits don't depend on the workers.
    private static let parts = 16

    init(
        _ features: AlignedBuffer, _ labels: [Int], dimension: Int, classes: Int, penalty: Double, pool: WorkerPool
    ) {
        self.features = features
        self.labels = labels
        self.dimension = dimension
        self.classes = classes
        self.penalty = penalty
        self.pool = pool
    }

    func value(at parameters: [Double]) -> (value: Double, gradient: [Double]) {
        let single = parameters.map { Float($0) }
        let partials = AlignedBuffer(count: Self.parts * parameters.count)
        var losses = [Double](repeating: 0, count: Self.parts)
        losses.withUnsafeMutableBufferPointer { losses in
            // Every part has a slot of its own, written once.
            nonisolated(unsafe) let losses = losses
            pool.run { worker in
                for part in WorkerPool.part(worker, of: self.pool.count, total: Self.parts) {
                    let rows = WorkerPool.part(part, of: Self.parts, total: self.labels.count)
                    losses[part] = self.add(rows, single, to: partials.pointer + part * single.count)
                }
            }
        }
        let (weights, count) = (classes * dimension, Double(labels.count))
        var loss = losses.reduce(0, +) / count
        var gradient = [Double](repeating: 0, count: parameters.count)
        for part in 0..<Self.parts {
            for i in gradient.indices { gradient[i] += Double(partials.pointer[part * gradient.count + i]) }
        }
        for i in gradient.indices { gradient[i] /= count }
        for i in 0..<weights {
            loss += penalty / 2 * parameters[i] * parameters[i]
            gradient[i] += penalty * parameters[i]
        }
        return (loss, gradient)
    }

    /// The sum of some rows' losses; that of their gradients is added to `gradient`.
    private func add(_ rows: Range<Int>, _ parameters: [Float], to gradient: UnsafeMutablePointer<Float>) -> Double {
        var loss = 0.0
        withUnsafeTemporaryAllocation(of: Float.self, capacity: LinearProbe.block * classes) { logits in
            let logits = logits.baseAddress!
            for first in stride(from: rows.lowerBound, to: rows.upperBound, by: LinearProbe.block) {
                let block = first..<min(first + LinearProbe.block, rows.upperBound)
                LinearProbe.logits(features, block, parameters, dimension: dimension, classes: classes, into: logits)
                for row in block {
                    let own = logits + (row - first) * classes
                    loss += differentiate(own, label: labels[row])
                    for c in 0..<classes { gradient[classes * dimension + c] += own[c] }
                }
                BLAS.accumulate(
                    transposed: logits, features.pointer + first * dimension, into: gradient, rows: classes,
                    columns: dimension, depth: block.count)
            }
        }
        return loss
    }

    /// The cross-entropy of a row, whose logits become their gradient: probabilities less the label's 1.
    private func differentiate(_ logits: UnsafeMutablePointer<Float>, label: Int) -> Double {
        var greatest = -Float.infinity
        for c in 0..<classes { greatest = max(greatest, logits[c]) }
        let own = Double(logits[label] - greatest)
        var sum = 0.0
        for c in 0..<classes {
            let value = exp(Double(logits[c] - greatest))
            logits[c] = Float(value)
            sum += value
        }
        for c in 0..<classes { logits[c] = Float(Double(logits[c]) / sum) }
        logits[label] -= 1
        return log(sum) - own
    }
}
