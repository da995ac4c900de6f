import Tensor
import TestFixtures
import Testing

@testable import Evaluation
@testable import Training

@Suite("Classification by nearest neighbours")
struct NearestNeighboursTests {
    /// Clusters around one direction a class, wide enough for some to be mistaken.
    private static func clusters(_ count: Int, dimension: Int, seed: UInt64) -> LabelledEmbeddings {
        var random = SeededGenerator(seed: seed)
        var embeddings = LabelledEmbeddings(dimension: dimension)
        for row in 0..<count {
            let label = row % 3
            let values = (0..<dimension).map { ($0 % 3 == label ? 0.4 : 0) + Float.random(in: -1...1, using: &random) }
            embeddings.append(values, label: label)
        }
        return embeddings
    }

    /// The definition, without blocks, products or partial lists.
    private static func correct(_ queries: LabelledEmbeddings, among references: LabelledEmbeddings?, k: Int) -> Int {
        func row(_ embeddings: LabelledEmbeddings, _ index: Int) -> [Double] {
            let start = index * embeddings.dimension
            return embeddings.values[start..<(start + embeddings.dimension)].map(Double.init)
        }
        let known = references ?? queries
        return (0..<queries.count).count { query in
            let similarities = (0..<known.count).filter { references != nil || $0 != query }.map { index in
                (zip(row(queries, query), row(known, index)).reduce(0) { $0 + $1.0 * $1.1 }, known.labels[index])
            }
            let nearest = similarities.sorted { $0.0 > $1.0 }.prefix(k)
            let votes = Dictionary(grouping: nearest, by: \.1).mapValues { ($0.count, $0.reduce(0) { $0 + $1.0 }) }
            return votes.max { $0.value < $1.value }?.key == queries.labels[query]
        }
    }

    @Test("As the definition, leaving one out, for any number of workers", arguments: [1, 2, 3], [1, 4, 20])
    func leavesOneOut(workers: Int, k: Int) {
        let embeddings = Self.clusters(150, dimension: 12, seed: 1)
        let search = NearestNeighbours(among: embeddings, k: k)
        let found = search.correct(nil, on: WorkerPool(count: workers), progress: { _ in })
        #expect(found == Self.correct(embeddings, among: nil, k: k))
        #expect((50..<150).contains(found))
    }

    @Test("As the definition among other embeddings, more of them than a block")
    func searchesReferences() {
        let (queries, references) = (
            Self.clusters(40, dimension: 12, seed: 2), Self.clusters(2100, dimension: 12, seed: 3)
        )
        let found = NearestNeighbours(among: references, k: 7).correct(queries, on: WorkerPool(count: 2)) { _ in }
        #expect(found == Self.correct(queries, among: references, k: 7))
    }

    @Test("An image is not its own neighbour when one is left out, but is when sought among itself")
    func ownNeighbour() {
        var embeddings = LabelledEmbeddings(dimension: 2)
        for (values, label) in [([1, 0], 0), ([1, 0.1], 1), ([0, 1], 0), ([0.1, 1], 1)] as [([Float], Int)] {
            embeddings.append(values, label: label)
        }
        let (search, pool) = (NearestNeighbours(among: embeddings, k: 1), WorkerPool(count: 1))
        #expect(search.correct(nil, on: pool, progress: { _ in }) == 0)
        #expect(search.correct(embeddings, on: pool, progress: { _ in }) == 4)
    }

    @Test("Lengths don't matter; a zero vector is like nothing, and does no harm")
    func usesCosine() {
        var references = LabelledEmbeddings(dimension: 2)
        references.append([0, 0], label: 0)
        references.append([1e-20, 1e-20], label: 1)
        references.append([1e18, -1e18], label: 2)
        var queries = LabelledEmbeddings(dimension: 2)
        queries.append([5, 4], label: 1)
        queries.append([3, -4], label: 2)
        let search = NearestNeighbours(among: references, k: 1)
        #expect(search.correct(queries, on: WorkerPool(count: 1), progress: { _ in }) == 2)
    }

    @Test("An only image has no neighbour and can't be classified")
    func alone() {
        var embeddings = LabelledEmbeddings(dimension: 1)
        embeddings.append([1], label: 0)
        let search = NearestNeighbours(among: embeddings, k: 20)
        #expect(search.correct(nil, on: WorkerPool(count: 1), progress: { _ in }) == 0)
    }

    @Test("A tie goes to the class whose members are nearer in sum")
    func ties() {
        var neighbours = Neighbours(limit: 4)
        for (similarity, label) in [(0.9, 5), (0.8, 3), (0.75, 3), (0.2, 5), (0.1, 7)] as [(Float, Int)] {
            neighbours.offer(similarity, label: label)
        }
        #expect(neighbours.majority() == 3)
    }

    @Test("Progress is told up to the last image, and what it throws ends the search")
    func progress() {
        struct Enough: Error {}
        let embeddings = Self.clusters(300, dimension: 6, seed: 4)
        let search = NearestNeighbours(among: embeddings, k: 3)
        var told: [Int] = []
        _ = search.correct(nil, on: WorkerPool(count: 1)) { told.append($0) }
        #expect(told == [128, 256, 300])
        #expect(throws: Enough.self) {
            try search.correct(nil, on: WorkerPool(count: 1)) { _ in throw Enough() }
        }
    }
}
