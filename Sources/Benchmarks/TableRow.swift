import Plotting

/// A line of a benchmark's table.
package protocol TableRow: Codable, Sendable {
    static var columns: TextColumns { get }
    /// A cell for each column.
    var cells: [String] { get }
}
