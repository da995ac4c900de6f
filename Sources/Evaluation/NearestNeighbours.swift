import FeatureService
import Tensor

/// Embeddings with a class each, scaled to Euclidean length 1, so that their products are cosines. The zero vector, having
/// no direction, stays as it is.
struct LabelledEmbeddings: Sendable {
    /// Numbers of an embedding.
    let dimension: Int
    /// Class of each row.
    private(set) var labels: [Int] = []
    /// [rows][dimension].
    private(set) var values: [Float] = []

    init(dimension: Int) {
        precondition(dimension > 0, "an embedding has at least one number")
        self.dimension = dimension
    }

    var count: Int { labels.count }

    mutating func append(_ embedding: [Float], label: Int) {
        precondition(embedding.count == dimension && label >= 0, "an embedding of another width, or no class")
        values += embedding.scaledToUnitLength()
        labels.append(label)
    }
}

/// Classification by the k nearest embeddings, by cosine: what a representation tells of classes without any training
/// (Wu et al. 2018, with a plain majority instead of their weighted vote).
struct NearestNeighbours: Sendable {
    /// How many neighbours vote; all there are, if they are fewer.
    let k: Int
    private let references: LabelledEmbeddings

    /// Queries and references that are multiplied at a time: 1 MiB of products, which a core's cache holds.
    private static let queryBlock = 128
    private static let referenceBlock = 2048

    init(among references: LabelledEmbeddings, k: Int) {
        precondition(k > 0, "at least one neighbour must vote")
        self.references = references
        self.k = k
    }

    /// How many of `queries` are classified correctly, or of the references, each by the others (leave-one-out), if nil.
    ///
    /// - Parameter progress: told, now and then, how many have been classified; what it throws is rethrown.
    func correct(_ queries: LabelledEmbeddings?, on pool: WorkerPool, progress: (Int) throws -> Void) rethrows -> Int {
        let leavingOut = queries == nil
        let queries = queries ?? references
        precondition(queries.dimension == references.dimension, "embeddings of different taps can't be compared")
        var total = 0
        let round = Self.queryBlock * pool.count
        for start in stride(from: 0, to: queries.count, by: round) {
            let end = min(start + round, queries.count)
            var correct = [Int](repeating: 0, count: pool.count)
            correct.withUnsafeMutableBufferPointer { correct in
                // One slot a worker, written once.
                nonisolated(unsafe) let correct = correct
                pool.run { worker in
                    let part = WorkerPool.part(worker, of: pool.count, total: end - start)
                    guard !part.isEmpty else { return }
                    let rows = (start + part.lowerBound)..<(start + part.upperBound)
                    correct[worker] = self.correct(queries, rows: rows, leavingOut: leavingOut)
                }
            }
            total += correct.reduce(0, +)
            try progress(end)
        }
        return total
    }

    private func correct(_ queries: LabelledEmbeddings, rows: Range<Int>, leavingOut: Bool) -> Int {
        var nearest = [Neighbours](repeating: Neighbours(limit: k), count: rows.count)
        withUnsafeTemporaryAllocation(of: Float.self, capacity: rows.count * Self.referenceBlock) { products in
            for start in stride(from: 0, to: references.count, by: Self.referenceBlock) {
                let columns = min(Self.referenceBlock, references.count - start)
                multiply(queries, rows, from: start, columns: columns, into: products.baseAddress!)
                for (line, row) in rows.enumerated() {
                    let own = leavingOut ? row - start : -1
                    for column in 0..<columns where column != own {
                        let similarity = products[line * columns + column]
                        nearest[line].offer(similarity, label: references.labels[start + column])
                    }
                }
            }
        }
        return zip(rows, nearest).count { row, neighbours in neighbours.majority() == queries.labels[row] }
    }

    private func multiply(
        _ queries: LabelledEmbeddings, _ rows: Range<Int>, from start: Int, columns: Int,
        into products: UnsafeMutablePointer<Float>
    ) {
        let depth = references.dimension
        queries.values.withUnsafeBufferPointer { left in
            references.values.withUnsafeBufferPointer { right in
                BLAS.multiply(
                    left.baseAddress! + rows.lowerBound * depth, transposed: right.baseAddress! + start * depth,
                    into: products, rows: rows.count, columns: columns, depth: depth)
            }
        }
    }
}

/// The nearest neighbours seen so far, nearest first; of equally near ones those seen first.
struct Neighbours: Sendable {
    private var similarities: [Float] = []
    private var labels: [Int] = []
    private let limit: Int

    init(limit: Int) { self.limit = limit }

    mutating func offer(_ similarity: Float, label: Int) {
        if similarities.count == limit {
            guard similarity > similarities[limit - 1] else { return }
            similarities.removeLast()
            labels.removeLast()
        }
        var place = similarities.count
        while place > 0, similarities[place - 1] < similarity { place -= 1 }
        similarities.insert(similarity, at: place)
        labels.insert(label, at: place)
    }

    /// The class that most of them have; of equally frequent ones the one whose members' similarities have the greater
    /// sum, then the lower one. Nil if there are no neighbours.
    func majority() -> Int? {
        var votes: [Int: (count: Int, similarity: Float)] = [:]
        for (label, similarity) in zip(labels, similarities) {
            votes[label, default: (0, 0)].count += 1
            votes[label, default: (0, 0)].similarity += similarity
        }
        return votes.max {
            ($0.value.count, $0.value.similarity, $1.key) < ($1.value.count, $1.value.similarity, $0.key)
        }?
        .key
    }
}
