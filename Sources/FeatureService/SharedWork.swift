/// Which requests wait for which images, from decoding to the answer: identical images, while one of them is under way, are
/// computed once. A pure value.
///
/// An image is wanted as long as any request waits for it, not only the first one.
struct SharedWork<Key: Hashable & Sendable, Instant: Sendable>: Sendable {
    /// A place of a request that an image's answer goes to.
    struct Waiter: Sendable {
        let request: UInt64
        let position: Int
        /// When it began to wait.
        let since: Instant
    }

    private struct Work: Sendable {
        let key: Key?
        var waiters: [Waiter]
    }

    private var works: [ImageID: Work] = [:]
    private var images: [Key: ImageID] = [:]
    private var nextNumber: UInt64 = 0

    var isEmpty: Bool { works.isEmpty }

    /// Has a request wait for an image: the one under way with the same key, or a new one, which the caller is then to
    /// compute. Without a key, nothing is shared.
    mutating func join(_ key: Key?, _ waiter: Waiter) -> (image: ImageID, isNew: Bool) {
        if let key, let image = images[key] {
            works[image]!.waiters.append(waiter)
            return (image, false)
        }
        let image = ImageID(number: nextNumber)
        nextNumber += 1
        works[image] = Work(key: key, waiters: [waiter])
        if let key { images[key] = image }
        return (image, true)
    }

    /// The requests that wait for an image; empty once none does.
    func waiters(for image: ImageID) -> [Waiter] { works[image]?.waiters ?? [] }

    /// Ends a request's waiting.
    ///
    /// - Returns: those of the images that no request waits for any more. They are forgotten: a request for the same image now
    ///   starts again.
    mutating func leave(_ request: UInt64, _ waited: Set<ImageID>) -> Set<ImageID> {
        var abandoned: Set<ImageID> = []
        for image in waited {
            works[image]?.waiters.removeAll { $0.request == request }
            if works[image]?.waiters.isEmpty == true {
                _ = end(image)
                abandoned.insert(image)
            }
        }
        return abandoned
    }

    /// Forgets an image that has its answer, and says whose it is.
    mutating func end(_ image: ImageID) -> (key: Key?, waiters: [Waiter])? {
        guard let work = works.removeValue(forKey: image) else { return nil }
        if let key = work.key { images[key] = nil }
        return (work.key, work.waiters)
    }
}
