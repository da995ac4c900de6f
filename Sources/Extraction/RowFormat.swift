import FeatureService
import Files
import ReverseODE

/// What becomes of the features of images: rows of an output.
@MainActor
package struct RowFormat {
    package enum Embeddings: String, CaseIterable, Sendable { case npy, jsonl, csv }

    package enum Classes: String, CaseIterable, Sendable { case jsonl, csv }

    /// What an output begins with.
    enum Layout {
        /// These bytes.
        case text(header: [UInt8])
        /// The header of a NumPy matrix with this many columns. A second file lists the paths of its rows.
        case matrix(columns: Int)
    }

    let layout: Layout
    /// An image's row.
    let row: (_ path: String, ImageFeatures) throws -> [UInt8]

    private init(layout: Layout, row: @escaping (_ path: String, ImageFeatures) throws -> [UInt8]) {
        self.layout = layout
        self.row = row
    }
}

// MARK: - Embeddings

extension RowFormat {
    private struct EmbeddingRow: Encodable {
        struct TapValues: Encodable {
            let time: Float
            let place: String
            let dimension: Int
            let embedding: [Float]
        }
        let path: String
        let pathBytes: String?
        let taps: [TapValues]
    }

    /// Rows of embeddings.
    ///
    /// - Parameters:
    ///   - hasHeader: whether csv begins with a line of column names.
    ///   - hasUnitLength: whether every embedding is scaled to length 1.
    package init(_ format: Embeddings, of taps: [ResolvedTap], hasHeader: Bool, hasUnitLength: Bool) {
        func values(_ features: ImageFeatures) -> [[Float]] {
            hasUnitLength ? features.values.map { $0.scaledToUnitLength() } : features.values
        }
        switch format {
        case .npy:
            self.init(layout: .matrix(columns: taps.reduce(0) { $0 + $1.dimension })) { _, features in
                NumPyArray.bytes(Array(values(features).joined()))
            }
        case .jsonl:
            self.init(layout: .text(header: [])) { path, features in
                let taps = zip(features.taps, values(features)).map { tap, values in
                    EmbeddingRow.TapValues(
                        time: tap.time, place: tap.place.description, dimension: values.count, embedding: values)
                }
                let path = PathText(path)
                return try TextRow.json(EmbeddingRow(path: path.text, pathBytes: path.bytes, taps: taps))
            }
        case .csv:
            let columns = taps.flatMap { tap in (0..<tap.dimension).map { "\(tap.name)/\($0)" } }
            let header = hasHeader ? TextRow.csv(path: "path", columns) : []
            self.init(layout: .text(header: header)) { path, features in
                TextRow.csv(path: path, values(features).joined().map(\.description))
            }
        }
    }
}

extension ResolvedTap {
    /// Such as `0.625/pooled`.
    package var name: String { "\(time)/\(place)" }
}

// MARK: - Classes

extension RowFormat {
    private struct ClassRow: Encodable {
        let path: String
        let pathBytes: String?
        let classes: [RankedClass]
    }

    /// Rows of the `top` most probable classes, with their names if the model has any.
    package init(_ format: Classes, labels: [String]?, top: Int) {
        switch format {
        case .jsonl:
            self.init(layout: .text(header: [])) { path, features in
                let classes = RankedClass.ranking(features.logits ?? [], labels, top: top)
                let path = PathText(path)
                return try TextRow.json(ClassRow(path: path.text, pathBytes: path.bytes, classes: classes))
            }
        case .csv:
            self.init(layout: .text(header: TextRow.csv(path: "path", ["rank", "index", "label", "probability"]))) {
                path, features in
                RankedClass.ranking(features.logits ?? [], labels, top: top).enumerated().flatMap { rank, found in
                    TextRow.csv(
                        path: path, ["\(rank + 1)", "\(found.index)", found.label ?? "", found.probability.description])
                }
            }
        }
    }
}

package struct RankedClass: Encodable, Equatable, Sendable {
    package let index: Int
    /// Its name; nil if the model has none.
    package let label: String?
    package let probability: Double

    /// The most probable classes, most probable first; of equal ones the first comes first.
    ///
    /// - Parameter labels: the classes' names; nil if they have none.
    package static func ranking(_ logits: [Float], _ labels: [String]?, top: Int = .max) -> [RankedClass] {
        let probabilities = logits.softmax()
        return logits.ranking(top).map { index in
            RankedClass(index: index, label: labels?[index], probability: probabilities[index])
        }
    }
}
