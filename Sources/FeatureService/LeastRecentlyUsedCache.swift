/// A dictionary that holds no more than a number of bytes and forgets first what has not been asked for the longest. A pure
/// value; every operation but growth and `removeAll` takes constant time.
struct LeastRecentlyUsedCache<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    /// An entry and its neighbours in the order of use; `absent` at the ends.
    private struct Slot: Sendable {
        let key: Key
        let value: Value
        let byteCount: Int
        var newer: Int
        var older: Int
    }

    /// Most bytes held; 0 holds nothing.
    let capacity: Int
    /// Bytes held, the cache's own bookkeeping included.
    private(set) var byteCount = 0
    private var places: [Key: Int] = [:]
    private var slots: [Slot?] = []
    private var free: [Int] = []
    private var newest = absent
    private var oldest = absent

    private static var absent: Int { -1 }

    /// What an entry costs in addition to what its key and value refer to. Arrays and dictionaries grow by doubling, and a
    /// dictionary is filled to three quarters, so that up to so many times an entry's own room is allocated for it.
    static var entryOverhead: Int {
        2 * (MemoryLayout<Slot?>.stride + MemoryLayout<Int>.stride)
            + (MemoryLayout<Key>.stride + MemoryLayout<Int>.stride) * 8 / 3
    }

    init(capacity: Int) {
        precondition(capacity >= 0)
        self.capacity = capacity
    }

    var count: Int { places.count }

    /// The value kept for `key`, which counts as used now.
    mutating func value(for key: Key) -> Value? {
        guard let place = places[key], let slot = slots[place] else { return nil }
        unlink(place)
        linkAsNewest(place)
        return slot.value
    }

    /// Keeps a value, forgetting others for it as need be; one that is larger than the whole cache is not kept.
    ///
    /// - Parameter heapBytes: what key and value hold on the heap.
    mutating func insert(_ value: Value, for key: Key, heapBytes: Int) {
        remove(key)
        let size = heapBytes + Self.entryOverhead
        guard size <= capacity else { return }
        while byteCount > capacity - size, let slot = slots[oldest] { remove(slot.key) }
        let slot = Slot(key: key, value: value, byteCount: size, newer: Self.absent, older: Self.absent)
        let place: Int
        if let reused = free.popLast() {
            place = reused
            slots[place] = slot
        } else {
            place = slots.count
            slots.append(slot)
        }
        places[key] = place
        byteCount += size
        linkAsNewest(place)
    }

    mutating func removeAll() { self = Self(capacity: capacity) }

    private mutating func remove(_ key: Key) {
        guard let place = places.removeValue(forKey: key), let slot = slots[place] else { return }
        unlink(place)
        slots[place] = nil
        free.append(place)
        byteCount -= slot.byteCount
    }

    private mutating func linkAsNewest(_ place: Int) {
        slots[place]!.newer = Self.absent
        slots[place]!.older = newest
        if newest == Self.absent { oldest = place } else { slots[newest]!.newer = place }
        newest = place
    }

    private mutating func unlink(_ place: Int) {
        guard let slot = slots[place] else { return }
        if slot.newer == Self.absent { newest = slot.older } else { slots[slot.newer]!.older = slot.older }
        if slot.older == Self.absent { oldest = slot.newer } else { slots[slot.older]!.newer = slot.newer }
    }
}
