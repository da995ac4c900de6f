/// When the work of a request was done, for a span of each stage.
package struct FeatureTrace: Sendable, Equatable {
    package typealias Interval = Range<ContinuousClock.Instant>
    package typealias Observer = @Sendable (FeatureTrace) -> Void

    /// An evaluation of the network for a batch with images of the request.
    package struct Step: Sendable, Equatable {
        package let interval: Interval
        /// Images in the batch, and those of them that the request waits for.
        package let images: Int
        package let own: Int
    }

    /// From the first image's admission to the last one's decoding, the wait for a decoder included.
    package private(set) var decode: Interval?
    /// From the first image's decoding to the last one's first step.
    package private(set) var queue: Interval?
    /// From the first image's first step to the last one's last step.
    package private(set) var inference: Interval?
    /// The first steps, at most ``maximumSteps``.
    package private(set) var steps: [Step] = []
    package private(set) var stepCount = 0

    /// A long pass takes thousands of steps, more than a trace can show.
    package static let maximumSteps = 64

    mutating func decoded(from start: ContinuousClock.Instant, to end: ContinuousClock.Instant) {
        Self.extend(&decode, from: start, to: end)
    }

    mutating func queued(from start: ContinuousClock.Instant, to end: ContinuousClock.Instant) {
        Self.extend(&queue, from: start, to: end)
    }

    mutating func inferred(from start: ContinuousClock.Instant, to end: ContinuousClock.Instant) {
        Self.extend(&inference, from: start, to: end)
    }

    /// - Parameters:
    ///   - images: images in the batch.
    ///   - own: those of them that the request waits for.
    mutating func stepped(
        from start: ContinuousClock.Instant, to end: ContinuousClock.Instant, images: Int, own: Int
    ) {
        stepCount += 1
        guard steps.count < Self.maximumSteps else { return }
        steps.append(Step(interval: start..<max(start, end), images: images, own: own))
    }

    private static func extend(
        _ interval: inout Interval?, from start: ContinuousClock.Instant, to end: ContinuousClock.Instant
    ) {
        let end = max(start, end)
        interval = interval.map { min($0.lowerBound, start)..<max($0.upperBound, end) } ?? start..<end
    }
}
