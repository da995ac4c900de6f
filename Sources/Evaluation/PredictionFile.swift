import Extraction

/// What the head says of every image, as comma-separated values.
@MainActor
package struct PredictionFile {
    private let file: ResultFile
    private let labels: [String]

    /// Most classes of an image that are written.
    package nonisolated static let most = 5

    /// Begins the file, which appears once it is complete.
    ///
    /// - Parameter labels: the model's class names.
    /// - Throws: `FileError` of kind `unwritable`.
    package init(_ path: String, labels: [String]) throws {
        file = try ResultFile(path)
        self.labels = labels
        let ranks = 1...min(Self.most, labels.count)
        let names =
            ["label", "label_rank", "label_probability"] + ranks.flatMap { ["predicted_\($0)", "probability_\($0)"] }
        try file.write(TextRow.csv(path: "path", names))
    }

    /// Writes the line of an image, whose class has the index `answer`.
    package func append(_ path: String, logits: [Float], answer: Int) throws {
        let ranked = RankedClass.ranking(logits, labels)
        let rank = ranked.firstIndex { $0.index == answer }!
        try file.write(
            TextRow.csv(
                path: path,
                [labels[answer], "\(rank + 1)", ranked[rank].probability.description]
                    + ranked.prefix(Self.most).flatMap { [labels[$0.index], $0.probability.description] }))
    }

    package func commit() throws { try file.commit() }
}
