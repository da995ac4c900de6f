/// One of the parts that a list is divided into, so that several processes, each with one part, do all of it.
///
/// Parts are contiguous, so that what the processes write, put together in their order, is what one process would have
/// written; they differ by at most one element.
package struct Shard: Sendable, Equatable, LosslessStringConvertible {
    /// From 0 to `count - 1`.
    package let index: Int
    /// Of the whole list.
    package let count: Int

    package static let limit = 1_000_000

    /// The only part.
    package static let whole = Shard(0, of: 1)!

    /// - Returns: nil unless there are 1 to `limit` parts and this is one of them.
    package init?(_ index: Int, of count: Int) {
        guard (1...Self.limit).contains(count), (0..<count).contains(index) else { return nil }
        self.index = index
        self.count = count
    }

    /// Reads `0/4`, in decimal digits only.
    package init?(_ text: String) {
        let numbers = text.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        guard numbers.count == 2,
            numbers.allSatisfy({ $0.allSatisfy((UInt8(ascii: "0")...UInt8(ascii: "9")).contains) }),
            let index = Int(Substring(numbers[0])), let count = Int(Substring(numbers[1]))
        else { return nil }
        self.init(index, of: count)
    }

    package var description: String { "\(index)/\(count)" }

    /// Whether this part is where the list begins.
    package var isFirst: Bool { index == 0 }

    /// The part's places in a list of `length` elements, fewer than 2^43.
    package func range(in length: Int) -> Range<Int> {
        length * index / count..<length * (index + 1) / count
    }
}
