import Synchronization

/// A count that only grows, such as requests answered. Safe and lock-free from any thread.
package final class Counter: Sendable {
    private let count = Atomic<UInt64>(0)

    init() {}

    /// Adds `amount` to the count.
    ///
    /// The amount is unsigned so that a counter can't be made to fall; what falls is a ``Gauge``.
    package func increment(by amount: UInt64 = 1) {
        count.wrappingAdd(amount, ordering: .relaxed)
    }

    package var value: UInt64 { count.load(ordering: .relaxed) }
}
