/// The columns of a table as text.
package struct TextColumns: Sendable {
    private let columns: [(title: String, width: Int)]

    /// - Parameter columns: their titles and widths in characters; as in printf(3), a negative width aligns to the left. Longer
    ///   cells stay as they are.
    package init(_ columns: [(title: String, width: Int)]) { self.columns = columns }

    package var head: String { line(columns.map(\.title)) }

    package func line(_ cells: [String]) -> String {
        zip(cells, columns).map { $1.width < 0 ? $0.padded(-$1.width) : $0.leftPadded($1.width) }.joined()
    }
}

extension String {
    /// The text with spaces behind it up to `width` characters, for a column of a table; longer text stays as it is.
    package func padded(_ width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }

    /// The text with spaces before it up to `width` characters, for a column of numbers; longer text stays as it is.
    package func leftPadded(_ width: Int) -> String { String(repeating: " ", count: max(0, width - count)) + self }
}

extension Double {
    /// The number with so many digits after the point, such as `-0.50`; `inf` or `nan` as they are.
    package func fixed(digits: Int) -> String { isFinite ? Ticks.fixed(self, digits: digits) : "\(self)" }
}
