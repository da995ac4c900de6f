private import Dispatch
private import Synchronization

/// Batches made ahead, so that the network needn't wait for them.
///
/// One thread makes them. It waits when enough are ready, and ends when the stream is freed. One consumer takes them.
final class BatchStream: Sendable {
    private let queue: BatchQueue

    init(_ feed: DataFeed, epoch: Int, index: Int, depth: Int) {
        let queue = BatchQueue(depth: depth)
        self.queue = queue
        // The thread blocks, so it is neither one of the cooperative pool nor of a global queue.
        DispatchQueue(label: "headwater.batches", qos: .userInitiated).async {
            Self.fill(queue, from: feed, epoch: epoch, index: index)
        }
    }

    deinit { queue.close() }

    /// The next batch; waits only if none is ready.
    ///
    /// - Throws: `DataSetError` as ``DataFeed/batch(epoch:index:)``, now and at every further call.
    func next() throws(DataSetError) -> Batch { try queue.take().get() }

    private static func fill(_ queue: BatchQueue, from feed: DataFeed, epoch: Int, index: Int) {
        var (epoch, index) = (epoch, index)
        while true {
            if index == feed.batchesPerEpoch {
                (epoch, index) = (epoch + 1, 0)
            }
            let result = Result { () throws(DataSetError) in try feed.batch(epoch: epoch, index: index) }
            guard queue.put(result), case .success = result else { return }
            index += 1
        }
    }
}

/// A queue of at most `depth` batches between two threads.
private final class BatchQueue: Sendable {
    private struct State {
        var waiting: [Result<Batch, DataSetError>] = []
        var isClosed = false
    }

    private let state = Mutex(State())
    private let room: DispatchSemaphore
    private let filled = DispatchSemaphore(value: 0)

    init(depth: Int) {
        precondition(depth > 0, "a queue holds at least one batch")
        // A semaphore that goes away with less than its first value counts as misuse, so it starts at none.
        room = DispatchSemaphore(value: 0)
        for _ in 0..<depth { room.signal() }
    }

    /// Waits for room; false if the consumer is gone.
    func put(_ result: Result<Batch, DataSetError>) -> Bool {
        room.wait()
        return state.withLock { state in
            guard !state.isClosed else { return false }
            state.waiting.append(result)
            filled.signal()
            return true
        }
    }

    /// The oldest batch. After a failure, every call throws it.
    func take() -> Result<Batch, DataSetError> {
        filled.wait()
        return state.withLock { state in
            if case .failure = state.waiting[0] {
                filled.signal()
                return state.waiting[0]
            }
            room.signal()
            return state.waiting.removeFirst()
        }
    }

    func close() {
        state.withLock { state in
            state.isClosed = true
            state.waiting = []
        }
        room.signal()
    }
}
