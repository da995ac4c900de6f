import FoundationEssentials
private import Synchronization

/// A model's statistics: how often things happened, and how long they took in total.
package struct ModelStatistics: Sendable, Equatable {
    /// How often something happened, and how long it took altogether.
    package struct Total: Sendable, Equatable {
        package private(set) var count = 0
        package private(set) var nanoseconds = 0

        package init() {}

        /// Counts `count` more that took `seconds` together.
        mutating func add(_ count: Int = 1, seconds: Double) {
            self.count += count
            nanoseconds += Int(seconds * 1e9)
        }
    }

    package fileprivate(set) var images = 0
    /// When an image was last answered; nil if none was.
    package fileprivate(set) var lastAnswer: Date?
    /// Requests of which every image was answered, from their admission to their results.
    package fileprivate(set) var succeeded = Total()
    /// All other requests for the model: refused, late, abandoned, or with an image that can't be used.
    package fileprivate(set) var failed = Total()
    /// Requests that succeeded, and the wait of their slowest image for its first step.
    package fileprivate(set) var queued = Total()
    /// Requests that succeeded and for which something was computed, and the decoding of their slowest image.
    package fileprivate(set) var decoded = Total()
    /// The same requests, and the time of their slowest image from its first step to its last.
    package fileprivate(set) var computed = Total()
    package fileprivate(set) var written = Total()
    /// Images whose answer was kept, and the time to look it up.
    package fileprivate(set) var cacheHits = Total()
    /// Images whose answer was not kept although answers are, and the time to find that out.
    package fileprivate(set) var cacheMisses = Total()
    /// Steps by the number of images in them.
    package fileprivate(set) var steps: [Int: Total] = [:]
}

/// Keeps the statistics of each model that serves.
package final class ModelTally: Sendable {
    private let models = Mutex<[ModelVersion: ModelStatistics]>([:])
    private let now: @Sendable () -> Date

    /// Counts nothing yet.
    ///
    /// - Parameter now: the time of day.
    package init(now: @escaping @Sendable () -> Date = { Date() }) { self.now = now }

    /// A model's statistics since `keep(only:)` last dropped it, or since the service started.
    package func statistics(of version: ModelVersion) -> ModelStatistics {
        models.withLock { $0[version] ?? ModelStatistics() }
    }

    /// Counts an answer that took `seconds` to be written.
    package func wrote(by version: ModelVersion, seconds: Double) {
        update(version) { $0.written.add(seconds: seconds) }
    }

    func stepped(by version: ModelVersion, images: Int, seconds: Double) {
        update(version) { $0.steps[images, default: .init()].add(seconds: seconds) }
    }

    /// Counts a request that has an answer, `seconds` after its admission.
    func answered(_ response: FeatureResponse, seconds: Double) {
        let (now, timings) = (now(), response.timings)
        let images = response.results.count { if case .success = $0 { true } else { false } }
        let hits = response.sources.count { $0 == .hit }
        update(response.served.version) { model in
            model.images += images
            if images > 0 { model.lastAnswer = now }
            if !response.sources.isEmpty {
                let share = timings.lookup / Double(response.sources.count)
                let misses = response.sources.count - hits
                if hits > 0 { model.cacheHits.add(hits, seconds: share * Double(hits)) }
                if misses > 0 { model.cacheMisses.add(misses, seconds: share * Double(misses)) }
            }
            guard images == response.results.count else { return model.failed.add(seconds: seconds) }
            model.succeeded.add(seconds: seconds)
            model.queued.add(seconds: timings.queue)
            guard hits < response.results.count else { return }
            model.decoded.add(seconds: timings.decode)
            model.computed.add(seconds: timings.inference)
        }
    }

    /// Counts a request that has none.
    func failed(by version: ModelVersion, seconds: Double) {
        update(version) { $0.failed.add(seconds: seconds) }
    }

    /// Forgets all models but these, so that a service that changes its model every night doesn't count for ever.
    func keep(only versions: [ModelVersion]) {
        models.withLock { $0 = $0.filter { versions.contains($0.key) } }
    }

    private func update(_ version: ModelVersion, _ change: (inout ModelStatistics) -> Void) {
        models.withLock { change(&$0[version, default: ModelStatistics()]) }
    }
}
