import CKernels
import Differentiation
import Tensor

/// Weights averaged over the steps of training, average ← decay·average + (1 − decay)·weights: what is kept of pretraining.
///
/// Early on, a fixed decay would hold on to the random weights of the beginning; so step k decays by no more than
/// (1 + k)/(10 + k). An average that begins with a model's weights holds on to them. Not for use by two threads at a time.
final class ExponentialMovingAverage {
    /// The greatest decay, 0..<1.
    let decay: Double
    /// Whether the first steps decay faster, so that the initial values lose their weight quickly.
    private let forgetsBeginning: Bool
    private let store: ParameterStore
    private let pool: WorkerPool
    private let buffer: AlignedBuffer

    /// Begins with the store's present values.
    init(_ store: ParameterStore, decay: Double, forgetsBeginning: Bool = true, pool: WorkerPool) {
        precondition((0..<1).contains(decay))
        self.store = store
        self.decay = decay
        self.forgetsBeginning = forgetsBeginning
        self.pool = pool
        buffer = AlignedBuffer(count: store.count)
        values.update(from: store.values, count: store.count)
    }

    /// The average, laid out as the store's values.
    var values: UnsafeMutablePointer<Float> { buffer.pointer }

    /// The decay of the step-th step, counted from 1.
    func decay(atStep step: Int) -> Double {
        forgetsBeginning ? min(decay, Double(1 + step) / Double(10 + step)) : decay
    }

    /// Takes in the store's values after the step-th step, counted from 1.
    func update(step: Int) {
        let share = Float(1 - decay(atStep: step))
        pool.run { worker in
            let part = WorkerPool.part(worker, of: self.pool.count, total: self.store.count)
            hw_average(self.values + part.lowerBound, self.store.values + part.lowerBound, share, part.count)
        }
    }

    /// Exchanges the average with the store's values; calling it again puts both back.
    func exchange() {
        for i in 0..<store.count {
            let value = store.values[i]
            store.values[i] = values[i]
            values[i] = value
        }
    }
}
