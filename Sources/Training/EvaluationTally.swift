import Glibc

/// Top-1 and top-5 accuracy and cross-entropy of logits, counted image by image; top-5 only where there are more than five classes, of which fewer
/// would all be among the first five.
package struct EvaluationTally: Sendable, Equatable {
    package private(set) var images = 0
    /// Images whose class has the greatest logit.
    package private(set) var top1 = 0
    /// Images whose class is among the five greatest logits.
    package private(set) var top5 = 0

    /// The most classes that logits were of.
    private var classes = 0
    private var loss = 0.0

    /// The fraction of the images, of which there is one at least, whose class has the greatest logit.
    package var top1Accuracy: Double { Double(top1) / Double(images) }
    /// The fraction of them whose class is among the five greatest; nil where there are no more than five.
    package var top5Accuracy: Double? { classes > 5 ? Double(top5) / Double(images) : nil }

    package init() {}

    /// The mean cross-entropy, without smoothing, and the top-1 accuracy of the images counted, at least one.
    var score: ValidationScore { ValidationScore(loss: loss / Double(images), top1: top1Accuracy) }

    /// Counts an image.
    ///
    /// - Parameters:
    ///   - logits: finite, one a class.
    ///   - answer: the index of the image's class among them.
    package mutating func add(logits: [Float], answer: Int) {
        let place = Self.place(of: answer, in: logits)
        images += 1
        classes = max(classes, logits.count)
        if place < 1 { top1 += 1 }
        if place < 5 { top5 += 1 }
        loss += Self.crossEntropy(logits, answer: answer)
    }

    /// −log of the probability that the logits give to a class.
    private static func crossEntropy(_ logits: [Float], answer: Int) -> Double {
        let values = logits.map(Double.init)
        let greatest = values.max()!
        return log(values.reduce(0) { $0 + exp($1 - greatest) }) + greatest - values[answer]
    }

    /// How many classes come before `answer`; of equal logits the first comes first, as an argmax has it.
    package static func place(of answer: Int, in logits: [Float]) -> Int {
        let own = logits[answer]
        return logits.indices.count { logits[$0] > own || (logits[$0] == own && $0 < answer) }
    }
}
