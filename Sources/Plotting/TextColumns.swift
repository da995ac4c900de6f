extension String {
    /// The text with spaces behind it up to `width` characters, for a column of a table; longer text stays as it is.
    public func padded(_ width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }

    /// The text with spaces before it up to `width` characters, for a column of numbers; longer text stays as it is.
    public func leftPadded(_ width: Int) -> String { String(repeating: " ", count: max(0, width - count)) + self }
}
