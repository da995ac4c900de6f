import CKernels
import Differentiation
import Tensor

/// Adam with decoupled weight decay (Loshchilov and Hutter 2019) over the parameters of a store; without decay it is Adam
/// (Kingma and Ba 2015).
///
/// As in the reference, every parameter that gradients reach decays, biases and the scales of normalisations included, and
/// no other changes. Elementwise, so the bits don't depend on the number of workers. Not for use by two threads at a time.
package final class AdamW {
    /// What doesn't change from step to step.
    package struct Settings: Sendable, Equatable {
        /// Decay of the running mean of gradients, 0..<1.
        package var beta1: Double
        /// Decay of the running mean of squared gradients, 0..<1.
        package var beta2: Double
        /// Added to the root of the second moment; above 0.
        package var epsilon: Double
        /// What a step of learning rate η takes off a parameter, as a multiple of η times the parameter; 0 for Adam.
        package var weightDecay: Double

        /// PyTorch's defaults but for the decay.
        package init(beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8, weightDecay: Double = 0) {
            self.beta1 = beta1
            self.beta2 = beta2
            self.epsilon = epsilon
            self.weightDecay = weightDecay
        }
    }

    package let settings: Settings
    package var stepCount = 0
    private let store: ParameterStore
    private let ranges: [Range<Int>]
    private let pool: WorkerPool
    private let firstMoment: AlignedBuffer
    private let secondMoment: AlignedBuffer

    /// Begins with moments of zero.
    ///
    /// - Parameter ranges: where in the store the parameters lie that gradients reach; nil for all of it.
    package init(_ store: ParameterStore, ranges: [Range<Int>]? = nil, settings: Settings, pool: WorkerPool) {
        self.store = store
        self.ranges = ranges ?? [0..<store.count]
        self.settings = settings
        self.pool = pool
        firstMoment = AlignedBuffer(count: store.count)
        secondMoment = AlignedBuffer(count: store.count)
    }

    /// The running means of the gradients, laid out as the store's values.
    package var first: UnsafeMutablePointer<Float> { firstMoment.pointer }
    /// The running means of the squared gradients, laid out as the store's values.
    package var second: UnsafeMutablePointer<Float> { secondMoment.pointer }

    /// Takes one step along the store's gradients, each multiplied by `gradientScale` first.
    package func step(learningRate: Double, gradientScale: Double = 1) {
        stepCount += 1
        let correction1 = 1 - power(settings.beta1, stepCount)
        let correction2 = 1 - power(settings.beta2, stepCount)
        let numbers = hw_adamw_numbers(
            scale: Float(gradientScale), beta1: Float(settings.beta1), one_minus_beta1: Float(1 - settings.beta1),
            beta2: Float(settings.beta2), one_minus_beta2: Float(1 - settings.beta2), epsilon: Float(settings.epsilon),
            shrinkage: Float(1 - learningRate * settings.weightDecay), step_size: Float(learningRate / correction1),
            root_scale: Float(1 / correction2.squareRoot()))
        pool.run { worker in
            let part = WorkerPool.part(worker, of: self.pool.count, total: self.store.count)
            for range in self.ranges.map({ part.clamped(to: $0) }) where !range.isEmpty {
                withUnsafePointer(to: numbers) {
                    hw_adamw(
                        self.store.values + range.lowerBound, self.store.gradients + range.lowerBound,
                        self.first + range.lowerBound, self.second + range.lowerBound, range.count, $0)
                }
            }
        }
    }
}

/// base^exponent by repeated squaring, in the same order on every machine.
private func power(_ base: Double, _ exponent: Int) -> Double {
    var (result, square, rest) = (1.0, base, exponent)
    while rest > 0 {
        if rest & 1 == 1 { result *= square }
        square *= square
        rest >>= 1
    }
    return result
}

extension ParameterStore {
    /// The Euclidean norm of all gradients together; not finite if one of them isn't. Summed in double precision over parts
    /// of a fixed size, so the bits don't depend on the number of workers.
    package func gradientNorm(pool: WorkerPool) -> Double {
        let partSize = 1 << 14
        let parts = (count + partSize - 1) / partSize
        var sums = [Double](repeating: 0, count: parts)
        sums.withUnsafeMutableBufferPointer { buffer in
            // Unsafe: every worker writes elements of its own.
            nonisolated(unsafe) let sums = buffer
            pool.forEach(parts) { part in
                var sum = 0.0
                for i in (part * partSize)..<min((part + 1) * partSize, self.count) {
                    sum += Double(self.gradients[i]) * Double(self.gradients[i])
                }
                sums[part] = sum
            }
        }
        return sums.reduce(0, +).squareRoot()
    }
}
