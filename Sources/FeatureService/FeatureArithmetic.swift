private import Glibc

// What the service and the commands compute from features. Sums are in double precision.

extension [Float] {
    /// The vector of Euclidean length 1 in the same direction; the zero vector, which has none, stays as it is.
    package func scaledToUnitLength() -> [Float] {
        let length = dotProduct(with: self).squareRoot()
        return length > 0 ? map { Float(Double($0) / length) } : self
    }

    /// The scalar product of two vectors of the same length.
    package func dotProduct(with other: [Float]) -> Double {
        zip(self, other).reduce(0) { $0 + Double($1.0) * Double($1.1) }
    }

    /// The cosine of the angle between two vectors; not a number if one is zero.
    package func cosine(with other: [Float]) -> Double {
        dotProduct(with: other) / (dotProduct(with: self) * other.dotProduct(with: other)).squareRoot()
    }

    /// The probabilities of classes whose logits these are; they sum to 1.
    package func softmax() -> [Double] {
        guard let greatest = self.max() else { return [] }
        let exponentials = map { exp(Double($0) - Double(greatest)) }
        let sum = exponentials.reduce(0, +)
        return exponentials.map { $0 / sum }
    }
}

extension Array where Element: Comparable {
    /// The indices of the `count` greatest values, greatest first; of equal values the smaller index comes first.
    package func ranking(_ count: Int = .max) -> [Int] {
        Array<Int>(indices.sorted { (self[$1], $0) < (self[$0], $1) }.prefix(count))
    }
}
