import Glibc

/// What a classifier's logits on images held back add up to.
struct ValidationTally {
    private var places = EvaluationTally()
    private var loss = 0.0

    /// Counts an image by its logits, one a class.
    mutating func add(logits: [Float], label: Int) {
        places.add(logits: logits, answer: label)
        loss += Self.crossEntropy(logits, label: label)
    }

    /// The mean cross-entropy, without smoothing, and the top-1 accuracy of the images counted, at least one.
    var score: ValidationScore {
        ValidationScore(loss: loss / Double(places.images), top1: Double(places.top1) / Double(places.images))
    }

    /// −log of the probability that the logits give to a class.
    private static func crossEntropy(_ logits: [Float], label: Int) -> Double {
        let values = logits.map(Double.init)
        let greatest = values.max()!
        return log(values.reduce(0) { $0 + exp($1 - greatest) }) + greatest - values[label]
    }
}
