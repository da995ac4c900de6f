private import Synchronization

/// Counts the images that each model served.
public final class ImageTally: Sendable {
    private let counts = Mutex<[ModelVersion: Int]>([:])

    /// Counts nothing yet.
    public init() {}

    /// Counts images.
    public func add(_ images: Int, to version: ModelVersion) {
        counts.withLock { $0[version, default: 0] += images }
    }

    /// The images that a model has served since it was last forgotten.
    public func images(of version: ModelVersion) -> Int { counts.withLock { $0[version] ?? 0 } }

    /// Forgets all models but these, so that a service that changes its model every night doesn't count for ever.
    func keep(only versions: [ModelVersion]) {
        counts.withLock { $0 = $0.filter { versions.contains($0.key) } }
    }
}
