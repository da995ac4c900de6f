/// Minimises smooth functions of many numbers by their gradients: L-BFGS (Liu and Nocedal 1989) with backtracking.
///
/// Everything is summed in order, so the same function gives the same bits.
struct LimitedMemoryBFGS: Sendable {
    /// Where the iterations led.
    struct Minimum: Sendable {
        let point: [Double]
        let value: Double
        let iterations: Int
    }

    /// Iterations end where no component of the gradient is larger than this.
    let tolerance: Double
    /// Iterations end after so many.
    let iterationLimit: Int

    /// Halvings of a step after which rounding, not the step, is what keeps the value from falling.
    private static let halvingLimit = 30

    /// Goes downhill from a point.
    ///
    /// - Parameters:
    ///   - function: the value and the gradient at a point; bounded below.
    ///   - progress: told the iterations done; what it throws is rethrown.
    func minimum(
        from start: [Double], _ function: ([Double]) -> (value: Double, gradient: [Double]),
        progress: (Int) throws -> Void
    ) rethrows -> Minimum {
        var (point, curvature) = (start, Curvature())
        var (value, gradient) = function(point)
        var iterations = 0
        while iterations < iterationLimit, gradient.contains(where: { abs($0) > tolerance }) {
            var direction = curvature.direction(against: gradient)
            if dot(direction, gradient) >= 0 {
                curvature = Curvature()
                direction = curvature.direction(against: gradient)
            }
            guard let next = step(from: point, value, gradient, along: direction, function) else { break }
            curvature.learn(step: difference(next.point, point), change: difference(next.gradient, gradient))
            (point, value, gradient) = next
            iterations += 1
            try progress(iterations)
        }
        return Minimum(point: point, value: value, iterations: iterations)
    }

    /// The first of ever shorter steps after which the value has fallen by a ten-thousandth of what the slope promises
    /// (Armijo); nil if there is none.
    private func step(
        from point: [Double], _ value: Double, _ gradient: [Double], along direction: [Double],
        _ function: ([Double]) -> (value: Double, gradient: [Double])
    ) -> (point: [Double], value: Double, gradient: [Double])? {
        let slope = dot(direction, gradient)
        var size = 1.0
        for _ in 0..<Self.halvingLimit {
            let candidate = zip(point, direction).map { $0 + size * $1 }
            let found = function(candidate)
            if found.value <= value + 1e-4 * size * slope { return (candidate, found.value, found.gradient) }
            size /= 2
        }
        return nil
    }
}

/// What the latest steps told of the inverse of the second derivatives.
private struct Curvature {
    private var steps: [[Double]] = []
    private var changes: [[Double]] = []

    /// Pairs of steps and gradient differences that stand for the curvature; the authors recommend 3 to 20.
    private static let limit = 10

    mutating func learn(step: [Double], change: [Double]) {
        // Without positive curvature along the step the estimate would no longer be positive definite.
        guard dot(step, change) > 1e-12 * dot(change, change) else { return }
        if steps.count == Self.limit {
            steps.removeFirst()
            changes.removeFirst()
        }
        steps.append(step)
        changes.append(change)
    }

    /// The direction of Newton's method under the estimate; of no more than length 1 while nothing is known.
    func direction(against gradient: [Double]) -> [Double] {
        guard let lastStep = steps.last, let lastChange = changes.last else {
            let length = dot(gradient, gradient).squareRoot()
            return gradient.map { -$0 / max(length, 1) }
        }
        var result = gradient.map { -$0 }
        var shares: [Double] = []
        for (step, change) in zip(steps, changes).reversed() {
            let share = dot(step, result) / dot(step, change)
            for i in result.indices { result[i] -= share * change[i] }
            shares.append(share)
        }
        let scale = dot(lastStep, lastChange) / dot(lastChange, lastChange)
        for i in result.indices { result[i] *= scale }
        for ((step, change), share) in zip(zip(steps, changes), shares.reversed()) {
            let correction = share - dot(change, result) / dot(step, change)
            for i in result.indices { result[i] += correction * step[i] }
        }
        return result
    }
}

private func dot(_ a: [Double], _ b: [Double]) -> Double {
    var sum = 0.0
    for i in a.indices { sum += a[i] * b[i] }
    return sum
}

private func difference(_ a: [Double], _ b: [Double]) -> [Double] { zip(a, b).map { $0 - $1 } }
