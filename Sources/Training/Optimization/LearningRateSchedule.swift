#if canImport(Glibc)
    import Glibc
#endif

/// The learning rate of every step: a linear rise over the warm-up, then constant or half a cosine down to a floor.
public struct LearningRateSchedule: Sendable, Equatable {
    /// What follows the warm-up.
    public enum Shape: String, Sendable, CaseIterable {
        case constant, cosine
    }

    /// The rate at the end of the warm-up.
    public let peak: Double
    /// The rate that a cosine ends at.
    public let floor: Double
    /// Steps of the warm-up; its first has the rate peak / warmUpSteps.
    public let warmUpSteps: Int
    /// Steps in all.
    public let totalSteps: Int
    /// What follows the warm-up.
    public let shape: Shape

    /// Describes a schedule.
    public init(peak: Double, floor: Double = 0, warmUpSteps: Int, totalSteps: Int, shape: Shape) {
        self.peak = peak
        self.floor = floor
        self.warmUpSteps = warmUpSteps
        self.totalSteps = totalSteps
        self.shape = shape
    }

    /// The rate of a step, counted from 0.
    public func rate(at step: Int) -> Double {
        if step < warmUpSteps { return peak * Double(step + 1) / Double(warmUpSteps) }
        guard shape == .cosine else { return peak }
        let progress = Double(step - warmUpSteps) / Double(max(totalSteps - warmUpSteps, 1))
        return floor + (peak - floor) * (1 + cos(.pi * min(progress, 1))) / 2
    }
}
