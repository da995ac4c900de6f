private import Dispatch

/// Decodes images on Dispatch threads of its own: never on the cooperative pool, never on a thread of the HTTP server.
public final class DecodePool: Sendable {
    private let queue: DispatchQueue
    private let slots: DispatchSemaphore

    /// At most `width` images are decoded at a time.
    public init(width: Int) {
        precondition(width > 0)
        // A serial queue hands out the slots, so that at most one thread waits for one.
        queue = DispatchQueue(label: "headwater.decode.admission", qos: .userInitiated)
        slots = DispatchSemaphore(value: width)
    }

    /// Runs `work` on a decoder thread.
    public func run<Value: Sendable>(_ work: @escaping @Sendable () -> Value) async -> Value {
        await withCheckedContinuation { continuation in
            queue.async { [slots] in
                slots.wait()
                DispatchQueue.global(qos: .userInitiated).async {
                    let value = work()
                    slots.signal()
                    continuation.resume(returning: value)
                }
            }
        }
    }
}
