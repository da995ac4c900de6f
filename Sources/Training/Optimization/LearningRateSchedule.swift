import Glibc

/// The learning rate of every step: a linear rise over the warm-up, then constant or half a cosine down to a floor.
package struct LearningRateSchedule: Sendable, Equatable {
    package enum Shape: String, Codable, Sendable, CaseIterable {
        case constant, cosine
    }

    /// The rate at the end of the warm-up.
    package let peak: Double
    /// The rate that a cosine ends at.
    package let floor: Double
    /// Steps of the warm-up; its first has the rate peak / warmUpSteps.
    package let warmUpSteps: Int
    /// Steps in all, those before `start` included.
    package let totalSteps: Int
    /// The step at which it begins: 0, or later in a run whose schedule has begun again.
    package var start = 0
    package let shape: Shape

    package init(peak: Double, floor: Double = 0, warmUpSteps: Int, totalSteps: Int, shape: Shape) {
        self.peak = peak
        self.floor = floor
        self.warmUpSteps = warmUpSteps
        self.totalSteps = totalSteps
        self.shape = shape
    }

    /// What a run's settings come to.
    ///
    /// - Parameter floor: the learning rate at the end of a cosine.
    init(_ recipe: TrainingSettings.Recipe, floor: Double, batchesPerEpoch: Int) {
        self.init(
            peak: recipe.learningRate, floor: floor,
            warmUpSteps: Int((recipe.warmUpEpochs * Double(batchesPerEpoch)).rounded()),
            totalSteps: (recipe.epochs ?? 0) * batchesPerEpoch, shape: recipe.schedule)
    }

    /// The rate of a step, counted from 0, at `start` or later.
    package func rate(at step: Int) -> Double {
        let (step, total) = (max(step - start, 0), totalSteps - start)
        if step < warmUpSteps { return peak * Double(step + 1) / Double(warmUpSteps) }
        guard shape == .cosine else { return peak }
        let progress = Double(step - warmUpSteps) / Double(max(total - warmUpSteps, 1))
        return floor + (peak - floor) * (1 + cos(.pi * min(progress, 1))) / 2
    }
}
