/// Finds what was meant by a mistyped name.
package enum Suggestion {
    private static let compared = 64

    /// The candidate nearest to `word`, if it is near enough to have been meant: at most a third of the word's characters
    /// (but at least one) inserted, dropped, replaced or swapped with a neighbour. Of equals, one of the same characters
    /// goes first, as swapping two is the commonest slip, and then the one named first.
    package static func nearest(to word: String, among candidates: some Sequence<String>) -> String? {
        let limit = max(1, word.unicodeScalars.prefix(compared).count / 3)
        let letters = word.unicodeScalars.prefix(compared).sorted()
        var best: (name: String, rank: (distance: Int, hasOtherLetters: Int))?
        for candidate in candidates {
            let distance = editDistance(word, candidate)
            guard distance <= limit else { continue }
            let rank = (distance, candidate.unicodeScalars.prefix(compared).sorted() == letters ? 0 : 1)
            if best.map({ rank < $0.rank }) ?? true { best = (candidate, rank) }
        }
        return best?.name
    }

    /// The clause to append to a remedy: `did you mean X?`, or nothing.
    package static func clause(_ name: String?) -> String { name.map { "; did you mean \($0)?" } ?? "" }

    /// The number of single-character edits, a swap of neighbours counting as one (optimal string alignment). Words are
    /// compared by their first 64 code points: no name is longer, and a hostile word can't make this slow.
    package static func editDistance(_ left: String, _ right: String) -> Int {
        let (left, right) = (Array(left.unicodeScalars.prefix(compared)), Array(right.unicodeScalars.prefix(compared)))
        var beforePrevious: [Int] = []
        var previous = Array(0...right.count)
        for row in 0..<left.count {
            var current = [row + 1]
            for column in 0..<right.count {
                let replaced = previous[column] + (left[row] == right[column] ? 0 : 1)
                var distance = min(replaced, previous[column + 1] + 1, current[column] + 1)
                if row > 0, column > 0, left[row] == right[column - 1], left[row - 1] == right[column] {
                    distance = min(distance, beforePrevious[column - 1] + 1)
                }
                current.append(distance)
            }
            (beforePrevious, previous) = (previous, current)
        }
        return previous[right.count]
    }
}
