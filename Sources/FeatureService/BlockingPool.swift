private import Dispatch

/// Runs work that blocks its thread for long, such as decoding an image or reading a file, on threads of Dispatch, a few at a
/// time. Swift's cooperative threads must not block, and the threads of the HTTP server have connections to serve.
package final class BlockingPool: Sendable {
    private let queue: DispatchQueue
    private let slots: DispatchSemaphore

    /// A pool that runs at most `width` pieces of work at a time, in the order in which they come.
    package init(width: Int) {
        precondition(width > 0)
        // A serial queue hands out the slots, so that at most one thread waits for one.
        queue = DispatchQueue(label: "headwater.blocking.admission", qos: .userInitiated)
        slots = DispatchSemaphore(value: width)
    }

    /// Runs `work` on a thread that may block.
    package func run<Value: Sendable, Failure: Error>(
        _ work: @escaping @Sendable () throws(Failure) -> Value
    ) async throws(Failure) -> Value {
        try await withCheckedContinuation { continuation in
            queue.async { [slots] in
                slots.wait()
                DispatchQueue.global(qos: .userInitiated).async {
                    let result = Result(catching: work)
                    slots.signal()
                    continuation.resume(returning: result)
                }
            }
        }.get()
    }
}
