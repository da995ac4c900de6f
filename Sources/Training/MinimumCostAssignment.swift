/// The one-to-one assignment of rows to columns of a square cost matrix whose costs have the least sum.
///
/// Shortest augmenting paths with dual variables, after a reduction of the columns (Jonker and Volgenant 1987): exact, in
/// O(n³) time and O(n) memory in addition to the costs. Of several optima one is found, always the same.
struct MinimumCostAssignment: Sendable, Equatable {
    /// The column of each row, each column once.
    let columns: [Int]
    /// The sum of the costs chosen, added up by ascending row.
    let cost: Double

    /// Solves the problem.
    ///
    /// - Parameters:
    ///   - costs: finite, in the layout [count][count], rows first.
    ///   - count: of rows and of columns; may be 0.
    init(costs: [Float], count: Int) {
        precondition(count >= 0 && costs.count == count * count, "the costs are not those of a square")
        precondition(costs.allSatisfy(\.isFinite), "an assignment needs finite costs")
        var search = costs.withUnsafeBufferPointer { AssignmentSearch(costs: $0, count: count) }
        costs.withUnsafeBufferPointer { costs in
            for row in 0..<count where search.columnOfRow[row] < 0 { search.assign(row, costs) }
        }
        columns = search.columnOfRow
        cost = columns.enumerated().reduce(0) { $0 + Double(costs[$1.offset * count + $1.element]) }
    }
}

/// An assignment of some rows with prices that prove it optimal among them: cost less the prices of row and column is
/// nowhere negative, and zero where assigned. Prices of rows follow from their own column's.
private struct AssignmentSearch {
    let count: Int
    var columnOfRow: [Int]
    private var rowOfColumn: [Int]
    /// Of the columns, in double: sums of differences of f32 costs.
    private var prices: [Double]
    private var distances: [Double]
    /// The row by which the shortest path enters each column.
    private var predecessors: [Int]
    private var isSettled: [Bool]

    /// Each column's price is its least cost, and it takes the row that has it, if that is free.
    init(costs: UnsafeBufferPointer<Float>, count: Int) {
        self.count = count
        columnOfRow = [Int](repeating: -1, count: count)
        rowOfColumn = columnOfRow
        prices = [Double](repeating: .infinity, count: count)
        distances = prices
        predecessors = columnOfRow
        isSettled = [Bool](repeating: false, count: count)
        var cheapest = columnOfRow
        for row in 0..<count {
            for column in 0..<count where Double(costs[row * count + column]) < prices[column] {
                prices[column] = Double(costs[row * count + column])
                cheapest[column] = row
            }
        }
        for column in 0..<count where columnOfRow[cheapest[column]] < 0 {
            columnOfRow[cheapest[column]] = column
            rowOfColumn[column] = cheapest[column]
        }
    }

    /// Gives a free row a column, along the shortest path of exchanges to a free one (Dijkstra's search).
    mutating func assign(_ free: Int, _ costs: UnsafeBufferPointer<Float>) {
        for column in 0..<count {
            distances[column] = .infinity
            isSettled[column] = false
        }
        var row = free
        var (reached, last) = (0.0, -1)
        var settled: [Int] = []
        while true {
            let price = last < 0 ? 0 : Double(costs[row * count + last]) - prices[last]
            last = relax(row, from: reached - price, costs)
            reached = distances[last]
            isSettled[last] = true
            guard rowOfColumn[last] >= 0 else { break }
            settled.append(last)
            row = rowOfColumn[last]
        }
        for column in settled { prices[column] += distances[column] - reached }
        exchange(upTo: last, from: free)
    }

    /// Shortens the paths that lead through `row`.
    ///
    /// - Returns: the nearest column not settled yet.
    private mutating func relax(_ row: Int, from start: Double, _ costs: UnsafeBufferPointer<Float>) -> Int {
        var (nearest, least) = (-1, Double.infinity)
        for column in 0..<count where !isSettled[column] {
            let distance = start + Double(costs[row * count + column]) - prices[column]
            if distance < distances[column] {
                distances[column] = distance
                predecessors[column] = row
            }
            if distances[column] < least || nearest < 0 { (nearest, least) = (column, distances[column]) }
        }
        return nearest
    }

    private mutating func exchange(upTo end: Int, from free: Int) {
        var column = end
        while true {
            let row = predecessors[column]
            rowOfColumn[column] = row
            swap(&columnOfRow[row], &column)
            if row == free { return }
        }
    }
}
