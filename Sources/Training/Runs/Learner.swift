import Differentiation

package struct BatchOutcome: Sendable, Equatable {
    package let loss: Double
    /// Images whose class was found; nil where there are no classes.
    package var correct: Int?
    /// The loss of the flow, where it is learnt in addition to classes; not part of `loss`.
    package var flowLoss: Double?
}

/// How good weights are on images that were held back.
package struct ValidationScore: Codable, Sendable, Equatable {
    package let loss: Double
    /// The fraction of images whose class was found; nil where there are no classes.
    package var top1: Double?
    /// The loss of the flow, where it is learnt in addition to classes.
    package var flowLoss: Double?

    /// Whether these weights are to be kept rather than others: by the accuracy if there is one, else by the loss.
    func isBetter(than other: ValidationScore) -> Bool {
        if let top1, let otherTop1 = other.top1 { return top1 > otherTop1 }
        return loss < other.loss
    }
}

/// Something that an optimizer can improve: parameters and a loss on batches.
package protocol Learner: AnyObject {
    /// The parameters and their gradients.
    var store: ParameterStore { get }
    /// Where in the store the parameters lie that its gradients reach; the others stay as they are, as PyTorch's optimizers
    /// leave those without a gradient.
    var reached: [Range<Int>] { get }
    /// Takes in that the store's values have changed.
    func valuesChanged()
    /// Takes parts of a batch one after another. After each, the store's gradients are those of the part's share in the batch's
    /// mean loss, and so are the outcome's losses.
    ///
    /// - Parameters:
    ///   - parts: the images of each, which may be none.
    ///   - step: the step's number, by which random numbers are drawn.
    ///   - partDone: called after each part.
    func differentiate(_ batch: Batch, parts: [Range<Int>], step: Int, partDone: (BatchOutcome) -> Void)
    /// The score of the store's present values on the images held back; nil if there are none.
    ///
    /// - Parameter beforeEachBatch: called before every batch of them; what it throws ends the validation.
    /// - Throws: `DataSetError` naming an image that can't be used, and what `beforeEachBatch` throws.
    func validate(beforeEachBatch: () throws -> Void) throws -> ValidationScore?
}

extension Learner {
    /// Sets the store's gradients to those of the batch's mean loss.
    ///
    /// - Parameter step: the step's number, by which random numbers are drawn.
    package func differentiate(_ batch: Batch, step: Int) -> BatchOutcome {
        var whole: BatchOutcome?
        differentiate(batch, parts: [0..<batch.count], step: step) { whole = $0 }
        guard let whole else { preconditionFailure("the learner has left out a part") }
        return whole
    }

    /// All of the store.
    package var reached: [Range<Int>] { [0..<store.count] }
}
