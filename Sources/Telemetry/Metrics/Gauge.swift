import Synchronization

/// A quantity that rises and falls, such as images waiting. Safe and lock-free from any thread.
public final class Gauge: Sendable {
    private let bits = Atomic<UInt64>(Double(0).bitPattern)

    init() {}

    /// Replaces the quantity.
    public func set(_ value: Double) {
        bits.store(value.bitPattern, ordering: .relaxed)
    }

    /// The quantity now.
    public var value: Double { Double(bitPattern: bits.load(ordering: .relaxed)) }
}
