/// Spans that wait for their export, at most so many: what comes when it is full is dropped. A pure value.
struct SpanQueue: Sendable {
    let capacity: Int
    private var spans: [Span] = []

    init(capacity: Int) { self.capacity = capacity }

    var count: Int { spans.count }

    /// Adds spans as far as there is room.
    ///
    /// - Returns: how many there was none for.
    mutating func add(_ new: [Span]) -> Int {
        let taken = min(new.count, capacity - spans.count)
        spans += new.prefix(taken)
        return new.count - taken
    }

    /// Takes the oldest spans out, at most so many.
    mutating func take(_ limit: Int) -> [Span] {
        defer { spans.removeFirst(min(limit, spans.count)) }
        return Array(spans.prefix(limit))
    }
}
