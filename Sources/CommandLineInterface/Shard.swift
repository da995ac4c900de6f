import Arguments

/// One of the parts that a list is divided into, so that several processes, each with one part, do all of it.
///
/// Parts are contiguous, so that what the processes write, put together in their order, is what one process would have
/// written; they differ by at most one element.
struct Shard: Sendable, Equatable {
    /// From 0 to `count - 1`.
    let index: Int
    let count: Int

    /// The most parts.
    static let limit = 1_000_000

    /// The only part.
    static let whole = Shard(unchecked: 0, of: 1)

    /// - Returns: nil unless there are 1 to `limit` parts and this is one of them.
    init?(_ index: Int, of count: Int) {
        guard (1...Self.limit).contains(count), (0..<count).contains(index) else { return nil }
        self.init(unchecked: index, of: count)
    }

    private init(unchecked index: Int, of count: Int) {
        self.index = index
        self.count = count
    }

    /// Whether this part is where the list begins.
    var isFirst: Bool { index == 0 }

    /// The part's places in a list of `length` elements, fewer than 2^43.
    func range(in length: Int) -> Range<Int> {
        length * index / count..<length * (index + 1) / count
    }
}

extension ValueSyntax where Value == Shard {
    /// A shard such as `0/4`, in decimal digits only.
    static var shard: ValueSyntax {
        ValueSyntax(
            placeholder: "K/N",
            rule: "the number of the part, from 0, and of all parts, at most \(Shard.limit), such as 0/4 to 3/4",
            parse: { text in
                let numbers = text.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
                guard numbers.count == 2,
                    numbers.allSatisfy({ $0.allSatisfy((UInt8(ascii: "0")...UInt8(ascii: "9")).contains) }),
                    let index = Int(Substring(numbers[0])), let count = Int(Substring(numbers[1]))
                else { return nil }
                return Shard(index, of: count)
            }, format: { "\($0.index)/\($0.count)" })
    }
}
