/// Blocks of memory placed in one arena so that those whose lifetimes overlap don't.
///
/// The largest blocks come first, each at the lowest offset that is free while it lives: "greedy by size" of Pisarchyk and
/// Lee 2020 (arXiv 2001.03288). Finding the smallest arena is NP-hard; this placement takes no search.
struct MemoryPlan: Sendable, Equatable {
    /// Memory that is needed for a while.
    struct Block: Sendable, Equatable {
        /// Floats.
        let count: Int
        /// From the step that first writes it to the last that reads it.
        let lifetime: ClosedRange<Int>
    }

    /// Where each block begins, in floats: multiples of a cache line's 16.
    let offsets: [Int]
    /// Floats of the arena.
    let count: Int

    /// Places blocks.
    init(_ blocks: [Block]) {
        var offsets = [Int](repeating: 0, count: blocks.count)
        var placed: [Int] = []
        var total = 0
        func size(_ index: Int) -> Int { (blocks[index].count + 15) / 16 * 16 }
        for index in blocks.indices.sorted(by: { (-size($0), $0) < (-size($1), $1) }) {
            var offset = 0
            for other in placed where blocks[other].lifetime.overlaps(blocks[index].lifetime) {
                if offset + size(index) <= offsets[other] { break }
                offset = max(offset, offsets[other] + size(other))
            }
            offsets[index] = offset
            total = max(total, offset + size(index))
            placed.insert(index, at: placed.firstIndex { offsets[$0] > offset } ?? placed.endIndex)
        }
        self.offsets = offsets
        count = total
    }
}
