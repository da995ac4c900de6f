import UntrustedText

/// Names of classes as a message lists them: the first twelve in quotes, and how many more there are.
package func listed(_ names: [String]) -> String {
    let first = names.prefix(12).map { "\"\(shown($0, atMost: 40))\"" }.joined(separator: ", ")
    return names.count > 12 ? "\(first) and \(names.count - 12) more" : first
}
