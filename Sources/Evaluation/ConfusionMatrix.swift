/// How often images of each class were taken for each class, counted image by image.
///
/// Classes are indices of logits. Counts are kept only where there are any, so that it stays small for thousands of classes.
struct ConfusionMatrix: Sendable, Equatable {
    /// A class and how many images were taken for it.
    struct Prediction: Equatable {
        let index: Int
        let images: Int
    }

    private var counts: [Int: [Int: Int]] = [:]

    /// Counts an image.
    ///
    /// - Parameter logits: finite, one a class; the greatest says what the image was taken for, of equals the first.
    mutating func add(logits: [Float], answer: Int) {
        let predicted = logits.indices.max { (logits[$0], $1) < (logits[$1], $0) }!
        counts[answer, default: [:]][predicted, default: 0] += 1
    }

    /// Classes that have images or that images were taken for, ascending.
    var classes: [Int] { Set(counts.keys).union(counts.values.flatMap(\.keys)).sorted() }

    /// How many images of a class were taken for another, or for itself.
    func count(of answer: Int, as predicted: Int) -> Int { counts[answer]?[predicted] ?? 0 }

    /// Images of a class.
    func images(of answer: Int) -> Int { counts[answer]?.values.reduce(0, +) ?? 0 }

    /// Images, of whatever class, that were taken for a class.
    func images(as predicted: Int) -> Int { counts.values.reduce(0) { $0 + ($1[predicted] ?? 0) } }

    /// What images of a class were taken for, the most frequent first.
    func predictions(of answer: Int) -> [Prediction] {
        (counts[answer] ?? [:]).map { Prediction(index: $0, images: $1) }
            .sorted { ($1.images, $0.index) < ($0.images, $1.index) }
    }
}
