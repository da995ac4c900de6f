extension Duration {
    var seconds: Double { self / .seconds(1) }
}

extension Double {
    /// Makes this the greater of itself and `other`.
    mutating func raise(to other: Double) { self = max(self, other) }
}
