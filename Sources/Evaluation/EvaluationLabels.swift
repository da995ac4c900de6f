import Training

/// Why a model can't be evaluated on a data set.
package struct EvaluationError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What doesn't fit, and what to do about it.
    package let description: String

    init(_ description: String) { self.description = description }
}

/// Which logit of a model stands for each class of a data set, found by name.
package struct EvaluationLabels: Sendable, Equatable {
    /// The logit's index for each class, in the order of the data set's classes.
    package let logitIndices: [Int]

    /// Matches the names; the data set may lack classes that the model knows, but not the other way round.
    ///
    /// - Parameters:
    ///   - classes: the data set's class names.
    ///   - labels: the model's class names in the order of its logits; nil if it names none.
    /// - Throws: `EvaluationError` if a class has no logit of its name, or several.
    package init(classes: [String], labels: [String]?) throws(EvaluationError) {
        guard let labels else {
            throw EvaluationError("the model has a head but no class names; import it again with --labels")
        }
        var places: [String: [Int]] = [:]
        for (index, label) in labels.enumerated() { places[label, default: []].append(index) }
        let unknown = classes.filter { places[$0] == nil }
        guard unknown.isEmpty else {
            throw EvaluationError(
                "the model has no class named \(listed(unknown)); its classes are \(listed(labels)): "
                    + "name the class folders as the model names its classes")
        }
        let ambiguous = classes.filter { places[$0]?.count != 1 }
        guard ambiguous.isEmpty else {
            throw EvaluationError(
                "the model has several classes named \(listed(ambiguous)); import it again with distinct labels")
        }
        logitIndices = classes.compactMap { places[$0]?.first }
    }
}
