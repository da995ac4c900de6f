import Foundation
import Synchronization
import Tensor

/// Holds a worker pool in a section that doesn't end before `release()`, as a kernel that hangs would: whatever evaluates a
/// model on the pool waits meanwhile, however fast or slow the machine is.
package final class WorkerPoolHold: Sendable {
    private let end = DispatchSemaphore(value: 0)
    private let isReleased = Atomic<Bool>(false)

    /// Returns when the pool is held.
    ///
    /// - Parameter pool: a pool of at least two workers: sections of a single one don't take turns.
    package init(of pool: WorkerPool) async {
        precondition(pool.count > 1, "a pool of one worker can't be held")
        let end = end
        await withCheckedContinuation { continuation in
            Thread {
                pool.run { worker in
                    guard worker == 0 else { return }
                    continuation.resume()
                    end.wait()
                }
            }.start()
        }
    }

    // A test that fails early must not leave the engine waiting.
    deinit { release() }

    /// Lets the pool go on.
    package func release() {
        if !isReleased.exchange(true, ordering: .sequentiallyConsistent) { end.signal() }
    }
}
