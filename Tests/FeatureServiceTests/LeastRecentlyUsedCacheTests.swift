import TestFixtures
import Testing

@testable import FeatureService

@Suite("Least recently used cache")
struct LeastRecentlyUsedCacheTests {
    typealias Cache = LeastRecentlyUsedCache<Int, String>

    /// A cache with room for so many entries that hold a byte each.
    private func cache(entries: Int) -> Cache { Cache(capacity: entries * (Cache.entryOverhead + 1)) }

    @Test("What has not been asked for the longest goes first; asking counts")
    func order() {
        var cache = cache(entries: 3)
        for key in 1...3 { cache.insert("\(key)", for: key, heapBytes: 1) }
        #expect(cache.value(for: 1) == "1")
        cache.insert("4", for: 4, heapBytes: 1)
        #expect(cache.value(for: 2) == nil)
        #expect([1, 3, 4].map { cache.value(for: $0) } == ["1", "3", "4"] && cache.count == 3)
    }

    @Test("A large entry displaces as many as it needs, and none if it doesn't fit at all")
    func sizes() {
        var cache = cache(entries: 4)
        for key in 1...4 { cache.insert("\(key)", for: key, heapBytes: 1) }
        cache.insert("large", for: 5, heapBytes: 2 + Cache.entryOverhead)
        #expect([1, 2, 3, 4, 5].map { cache.value(for: $0) } == [nil, nil, "3", "4", "large"])
        cache.insert("too large", for: 6, heapBytes: cache.capacity)
        #expect(cache.value(for: 6) == nil && cache.count == 3 && cache.byteCount == cache.capacity)
        cache.insert("small again", for: 5, heapBytes: 1)
        #expect(cache.value(for: 5) == "small again" && cache.byteCount == 3 * (Cache.entryOverhead + 1))
        cache.removeAll()
        #expect(cache.count == 0 && cache.byteCount == 0 && cache.value(for: 5) == nil)
    }

    @Test("Without room nothing is kept")
    func none() {
        var cache = Cache(capacity: 0)
        cache.insert("", for: 1, heapBytes: 0)
        #expect(cache.value(for: 1) == nil && cache.byteCount == 0)
    }

    /// The definition: entries in the order of their use, newest last.
    private struct Model {
        let capacity: Int
        var entries: [(key: Int, value: String, size: Int)] = []

        mutating func value(for key: Int) -> String? {
            guard let index = entries.firstIndex(where: { $0.key == key }) else { return nil }
            entries.append(entries.remove(at: index))
            return entries.last?.value
        }

        mutating func insert(_ value: String, for key: Int, size: Int) {
            entries.removeAll { $0.key == key }
            guard size <= capacity else { return }
            entries.append((key, value, size))
            while entries.reduce(0, { $0 + $1.size }) > capacity { entries.removeFirst() }
        }
    }

    @Test("It does what its definition says, and its bytes are the sum of its entries'", arguments: 0..<10)
    func definition(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var cache = cache(entries: 1 + Int(random.next() % 12))
        var model = Model(capacity: cache.capacity)
        for step in 0..<2_000 {
            let key = Int(random.next() % 20)
            if random.next() % 2 == 0 {
                #expect(cache.value(for: key) == model.value(for: key))
            } else {
                let size = Int(random.next() % 3) * Int(random.next() % UInt64(Cache.entryOverhead * 4))
                cache.insert("\(step)", for: key, heapBytes: size)
                model.insert("\(step)", for: key, size: size + Cache.entryOverhead)
            }
            #expect(cache.byteCount == model.entries.reduce(0) { $0 + $1.size } && cache.count == model.entries.count)
        }
    }
}

@Suite("Shared work")
struct SharedWorkTests {
    typealias Work = SharedWork<String, Int>

    private func waiter(_ request: UInt64, _ position: Int = 0) -> Work.Waiter {
        Work.Waiter(request: request, position: position, since: 0)
    }

    @Test("Equal keys under way are one image; without keys, and after the end, they are not")
    func joining() {
        var work = Work()
        let first = work.join("a", waiter(1))
        let second = work.join("a", waiter(2))
        let other = work.join("b", waiter(2, 1))
        #expect(first.isNew && !second.isNew && first.image == second.image && other.isNew)
        #expect(work.join(nil, waiter(3)).image != work.join(nil, waiter(3, 1)).image)
        #expect(work.waiters(for: first.image).map(\.request) == [1, 2])
        let ended = work.end(first.image)
        #expect(ended?.key == "a" && ended?.waiters.map(\.request) == [1, 2])
        #expect(work.end(first.image) == nil && work.waiters(for: first.image).isEmpty)
        #expect(work.join("a", waiter(4)).isNew)
    }

    @Test(
        "An image is abandoned when its last request leaves, not its first", arguments: [[1, 2, 3], [3, 1, 2]])
    func abandonment(order: [UInt64]) {
        var work = Work()
        let image = work.join("a", waiter(1)).image
        _ = work.join("a", waiter(1, 1))
        for request in [2, 3] as [UInt64] { _ = work.join("a", waiter(request)) }
        let own = work.join("b", waiter(order[0], 7)).image
        #expect(work.leave(order[0], [image, own]) == [own])
        #expect(work.leave(order[1], [image]).isEmpty)
        #expect(Set(work.waiters(for: image).map(\.request)) == [order[2]])
        #expect(work.leave(order[2], [image]) == [image] && work.isEmpty)
        #expect(work.leave(order[2], [image]).isEmpty)
        #expect(work.join("a", waiter(9)).isNew, "a request now starts again")
    }
}
