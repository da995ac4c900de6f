import Augmentation
import Testing

@testable import Training

@Suite("Minimum-cost assignment")
struct MinimumCostAssignmentTests {
    /// The least sum over all permutations.
    private static func leastCost(_ costs: [Float], _ count: Int, row: Int = 0, taken: Set<Int> = []) -> Double {
        guard row < count else { return 0 }
        return (0..<count).filter { !taken.contains($0) }.map {
            Double(costs[row * count + $0]) + leastCost(costs, count, row: row + 1, taken: taken.union([$0]))
        }.min() ?? 0
    }

    private static func costs(_ count: Int, _ cost: (Int, Int) -> Int) -> [Float] {
        (0..<count).flatMap { row in (0..<count).map { column in Float(cost(row, column)) } }
    }

    @Test("No permutation of up to seven is cheaper, ties and negative costs included", arguments: 0...7)
    func bruteForce(count: Int) {
        for seed in 0..<[60, 60, 60, 60, 60, 30, 9, 3][count] {
            var random = RandomStream(seed: UInt64(seed), count)
            // Every third has few different costs and so many optima.
            let costs = (0..<count * count).map { _ in
                seed.isMultiple(of: 3) ? Float(random.index(below: 4)) : Float(random.normal() * 10)
            }
            let assignment = MinimumCostAssignment(costs: costs, count: count)
            #expect(assignment.columns.sorted() == Array(0..<count))
            let expected = Self.leastCost(costs, count)
            #expect(abs(assignment.cost - expected) <= 1e-9 * (1 + abs(expected)))
        }
    }

    @Test("Known optima")
    func known() {
        // Rows want the columns in reverse.
        let reversed = Self.costs(5) { row, column in (row + column - 4) * (row + column - 4) }
        #expect(MinimumCostAssignment(costs: reversed, count: 5).columns == [4, 3, 2, 1, 0])
        // The least cost of each row is no assignment: 1 + 2 + 2 for columns 1, 0, 2.
        let contested: [Float] = [4, 1, 3, 2, 0, 5, 3, 2, 2]
        let assignment = MinimumCostAssignment(costs: contested, count: 3)
        #expect(assignment.columns == [1, 0, 2] && assignment.cost == 5)
        // All alike: any assignment will do, always the same.
        let alike = MinimumCostAssignment(costs: [Float](repeating: 3, count: 36), count: 6)
        #expect(alike.cost == 18 && alike == MinimumCostAssignment(costs: [Float](repeating: 3, count: 36), count: 6))
        // Machol and Wien's hard case, costs (row + 1) · (column + 1): greatest with least.
        let hard = Self.costs(64) { row, column in (row + 1) * (column + 1) }
        #expect(MinimumCostAssignment(costs: hard, count: 64).columns == (0..<64).reversed())
    }

    @Test("Points on a line are paired in their order, 256 of them")
    func sortsPoints() {
        var random = RandomStream(seed: 11)
        let (left, right) = (
            (0..<256).map { _ in Float(random.normal()) }, (0..<256).map { _ in Float(random.normal()) }
        )
        let costs = left.flatMap { x in right.map { ($0 - x) * ($0 - x) } }
        let assignment = MinimumCostAssignment(costs: costs, count: 256)
        let rows = left.indices.sorted { left[$0] < left[$1] }
        let columns = right.indices.sorted { right[$0] < right[$1] }
        let sorted = zip(rows, columns).reduce(0) { $0 + Double(costs[$1.0 * 256 + $1.1]) }
        #expect(abs(assignment.cost - sorted) <= 1e-4 * sorted, "the transport of a line is monotone")
        #expect(assignment.columns.sorted() == Array(0..<256))
    }
}
