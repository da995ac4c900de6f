import Glibc
import Tensor

/// Rows of features, each with a class.
package struct FeatureRows: Sendable {
    /// [count][dimension].
    let values: AlignedBuffer
    let labels: [Int]
    let dimension: Int
    /// What each row's loss counts, 1 on average; nil if all count 1.
    let weights: [Double]?

    var count: Int { labels.count }

    package init(values: AlignedBuffer, labels: [Int], dimension: Int, weights: [Double]? = nil) {
        self.values = values
        self.labels = labels
        self.dimension = dimension
        self.weights = weights
    }
}

/// Multinomial logistic regression: one linear layer whose mean cross-entropy, plus half a penalty times the squared weights,
/// biases excepted, is minimised by L-BFGS over all rows at once.
///
/// The problem is convex and its minimum unique but for a number added to all biases, so what is found depends neither on a
/// seed nor on a schedule. Its bits don't depend on the number of workers.
package struct LogisticRegression: Sendable {
    /// The penalty if none is given: small compared with the loss, yet large enough that separable classes have a finite answer.
    package static let defaultPenalty = 1e-3
    package static let iterationLimit = 300
    /// Iterations end where no component of the gradient is larger.
    static let tolerance = 1e-5

    package let classes: Int
    package let iterations: Int
    /// The penalised loss that they led to.
    package let loss: Double
    /// [classes][dimension], then [classes] biases.
    package let parameters: [Double]

    /// Solves the problem.
    ///
    /// - Parameters:
    ///   - rows: at least one; labels below `classes`. Dimensions should have variances of about 1, as the penalty treats
    ///     them alike.
    ///   - penalty: above 0.
    ///   - start: parameters to begin at, such as those of a neighbouring penalty; zeros if nil.
    ///   - progress: told the iterations done; what it throws is rethrown.
    package init(
        _ rows: FeatureRows, classes: Int, penalty: Double, from start: [Double]? = nil, on pool: WorkerPool,
        progress: (Int) throws -> Void
    ) rethrows {
        precondition(rows.count > 0 && penalty > 0, "a regression learns from something, under a penalty")
        self.classes = classes
        let objective = RegressionObjective(rows: rows, classes: classes, penalty: penalty, pool: pool)
        let start = start ?? [Double](repeating: 0, count: classes * (rows.dimension + 1))
        let minimum = try LimitedMemoryBFGS(tolerance: Self.tolerance, iterationLimit: Self.iterationLimit).minimum(
            from: start, objective.value, progress: progress)
        (parameters, iterations, loss) = (minimum.point, minimum.iterations, minimum.value)
    }

    /// Gives every row's logits, in order.
    package func forEachRow(of rows: FeatureRows, _ body: (_ row: Int, _ logits: [Float]) -> Void) {
        let single = parameters.map { Float($0) }
        var logits = [Float](repeating: 0, count: Self.block * classes)
        for first in stride(from: 0, to: rows.count, by: Self.block) {
            let block = first..<min(first + Self.block, rows.count)
            Self.logits(rows, block, single, classes: classes, into: &logits)
            for row in block { body(row, Array(logits[((row - first) * classes)..<((row - first + 1) * classes)])) }
        }
    }

    /// Rows that are multiplied at a time; their features stay in a core's cache for the gradient.
    fileprivate static let block = 128

    fileprivate static func logits(
        _ rows: FeatureRows, _ block: Range<Int>, _ parameters: [Float], classes: Int,
        into logits: UnsafeMutablePointer<Float>
    ) {
        let dimension = rows.dimension
        BLAS.multiply(
            rows.values.pointer + block.lowerBound * dimension, transposed: parameters, into: logits, rows: block.count,
            columns: classes, depth: dimension)
        for n in 0..<block.count {
            for c in 0..<classes { logits[n * classes + c] += parameters[classes * dimension + c] }
        }
    }
}

/// What brings rows of features to mean 0 and variance 1 in every dimension. One that doesn't vary becomes 0.
package struct Standardization: Sendable {
    package let means: [Double]
    package let factors: [Double]

    /// - Parameters:
    ///   - values: [count][dimension].
    ///   - leastDeviation: of a dimension as part of its mean's magnitude; what varies less is rounding and becomes 0.
    ///   - floor: the least deviation whatever the mean.
    package init(
        _ values: UnsafePointer<Float>, count: Int, dimension: Int, leastDeviation: Double, floor: Double = 0
    ) {
        var means = [Double](repeating: 0, count: dimension)
        var squares = means
        for row in 0..<count {
            for d in 0..<dimension { means[d] += Double(values[row * dimension + d]) }
        }
        for d in 0..<dimension { means[d] /= Double(count) }
        for row in 0..<count {
            for d in 0..<dimension {
                let difference = Double(values[row * dimension + d]) - means[d]
                squares[d] += difference * difference
            }
        }
        self.means = means
        factors = zip(means, squares).map { mean, square in
            let deviation = (square / Double(count)).squareRoot()
            return deviation > max(leastDeviation * abs(mean), floor) ? 1 / deviation : 0
        }
    }
}

/// The penalised loss and its gradient.
private struct RegressionObjective {
    let rows: FeatureRows
    let classes: Int
    let penalty: Double
    let pool: WorkerPool

    /// The set is summed in this many parts. Their number is fixed, so the bits don't depend on the number of workers.
    private static let parts = 16

    func value(at parameters: [Double]) -> (value: Double, gradient: [Double]) {
        let single = parameters.map { Float($0) }
        let partials = AlignedBuffer(count: Self.parts * parameters.count)
        var losses = [Double](repeating: 0, count: Self.parts)
        losses.withUnsafeMutableBufferPointer { losses in
            // Every part has a slot of its own, written once.
            nonisolated(unsafe) let losses = losses
            pool.forEach(Self.parts) { part in
                let indices = WorkerPool.part(part, of: Self.parts, total: self.rows.count)
                losses[part] = self.add(indices, single, to: partials.pointer + part * single.count)
            }
        }
        let (weights, count) = (classes * rows.dimension, Double(rows.count))
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
    private func add(_ indices: Range<Int>, _ parameters: [Float], to gradient: UnsafeMutablePointer<Float>) -> Double {
        var loss = 0.0
        let dimension = rows.dimension
        withUnsafeTemporaryAllocation(of: Float.self, capacity: LogisticRegression.block * classes) { logits in
            let logits = logits.baseAddress!
            for first in stride(from: indices.lowerBound, to: indices.upperBound, by: LogisticRegression.block) {
                let block = first..<min(first + LogisticRegression.block, indices.upperBound)
                LogisticRegression.logits(rows, block, parameters, classes: classes, into: logits)
                for row in block {
                    let own = logits + (row - first) * classes
                    let rowLoss = differentiate(own, label: rows.labels[row])
                    if let weight = rows.weights?[row] {
                        loss += weight * rowLoss
                        for c in 0..<classes { own[c] *= Float(weight) }
                    } else {
                        loss += rowLoss
                    }
                    for c in 0..<classes { gradient[classes * dimension + c] += own[c] }
                }
                BLAS.accumulate(
                    transposed: logits, rows.values.pointer + first * dimension, into: gradient, rows: classes,
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
