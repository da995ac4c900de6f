import Plotting

/// What the head made of the images of one class: a row of the confusion matrix with what follows from it.
struct ClassAccuracy: Codable, Equatable {
    /// A class and how many images were taken for it.
    struct Prediction: Codable, Equatable {
        let label: String
        /// Of its logit.
        let index: Int
        let images: Int
    }

    let label: String
    /// Of its logit.
    let index: Int
    let images: Int
    /// The fraction of them that were taken for it (recall); nil if there are none: other images were only mistaken for this class.
    let top1: Double?
    /// The fraction, of all images that were taken for it, that are of the class; nil if there are none.
    let precision: Double?
    /// What images of the class were taken for, the most frequent first.
    let predictions: [Prediction]

    /// The rows of a matrix, by the model's order of classes: those that have images or that images were taken for.
    static func rows(_ matrix: ConfusionMatrix, labels: [String]) -> [ClassAccuracy] {
        matrix.classes.map { index in
            let (own, taken) = (matrix.images(of: index), matrix.images(as: index))
            let right = Double(matrix.count(of: index, as: index))
            return ClassAccuracy(
                label: labels[index], index: index, images: own, top1: own > 0 ? right / Double(own) : nil,
                precision: taken > 0 ? right / Double(taken) : nil,
                predictions: matrix.predictions(of: index).map {
                    Prediction(label: labels[$0.index], index: $0.index, images: $0.images)
                })
        }
    }

    /// The most classes whose whole matrix is written as text.
    private static let widest = 20

    /// A table with a line a class. Of up to 20 classes it has the whole matrix: a column for each class, in the lines' order, how
    /// often images of the line's class were taken for it. Of more it has the most frequent mistakes.
    static func table(_ rows: [ClassAccuracy]) -> String {
        let isMatrix = rows.count <= widest
        let nameWidth = min(max(rows.map(\.label.count).max() ?? 0, 5), 24)
        let cellWidth = max(4, rows.map { "\($0.images)".count + 1 }.max() ?? 0)
        func line(_ number: String, _ name: String, _ cells: [String], _ rest: String) -> String {
            number.leftPadded(4) + " " + String(name.prefix(nameWidth)).padded(nameWidth)
                + zip(cells, [8, 9, 13]).map { $0.leftPadded($1) }.joined() + "  " + rest + "\n"
        }
        let columns = rows.indices.map { "\($0 + 1)".leftPadded(cellWidth) }.joined()
        var text = line("", "class", ["images", "top-1 %", "precision %"], isMatrix ? columns : "  mistaken for")
        for (number, row) in rows.enumerated() {
            let rest =
                isMatrix
                ? rows.map { column in
                    "\(row.predictions.first { $0.index == column.index }?.images ?? 0)".leftPadded(cellWidth)
                }.joined()
                : "  "
                    + row.predictions.filter { $0.index != row.index }.prefix(3).map { "\($0.label) \($0.images)" }
                    .joined(separator: ", ")
            text += line("\(number + 1)", row.label, ["\(row.images)", cell(row.top1), cell(row.precision)], rest)
        }
        return text
    }

    private static func cell(_ fraction: Double?) -> String {
        guard let fraction else { return "-" }
        let tenths = Int((fraction * 1000).rounded())
        return "\(tenths / 10).\(tenths % 10)"
    }
}
