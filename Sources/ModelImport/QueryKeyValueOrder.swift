/// The order of the rows that give an attention's queries, keys and values. docs/families.md says which model has which.
public enum QueryKeyValueOrder: String, Sendable, CaseIterable {
    /// By head, and within a head by query, key and value: the model file's own.
    case heads
    /// All queries, all keys, all values.
    case thirds
    /// By channel, and for each its query, key and value.
    case interleaved

    /// Where each row of the model file's order is in this one.
    ///
    /// - Parameters:
    ///   - channels: of the attention; a multiple of `headWidth`.
    ///   - headWidth: channels of a head.
    func rows(channels: Int, headWidth: Int) -> [Int] {
        (0..<channels / headWidth).flatMap { head in
            (0..<3).flatMap { part in
                (0..<headWidth).map { channel in
                    switch self {
                    case .heads: (3 * head + part) * headWidth + channel
                    case .thirds: part * channels + head * headWidth + channel
                    case .interleaved: 3 * (head * headWidth + channel) + part
                    }
                }
            }
        }
    }
}
