import CheckpointFormats
import FlowModel
import TestFixtures
import Testing

@testable import ModelImport

@Suite("Expressions over a source's tensors") struct TensorExpressionTests {
    /// A matrix [3, 2] of 0 to 5, a matrix [1, 2], a vector of two and one of three.
    static func tensors() throws -> SourceTensors {
        try withTemporaryFolder { folder in
            let path = folder.appending(path: "tensors.safetensors").path
            let values: [String: [Float]] = ["m": [0, 1, 2, 3, 4, 5], "r": [6, 7], "v": [10, 100], "w": [1, 2, 3]]
            let shapes = ["m": [3, 2], "r": [1, 2], "v": [2], "w": [3]]
            let tensors = try shapes.keys.sorted().map {
                try TensorDescription(name: $0, type: .f32, shape: shapes[$0]!)
            }
            try SafetensorsWriter.write(tensors, metadata: [:], to: path) { .floats(values[$0.name]!) }
            return try SourceTensors(SafetensorsFile(path: path))
        }
    }

    static let m = TensorExpression.source("m"), v = TensorExpression.source("v")
    static let results: [(expression: TensorExpression, shape: [Int], values: [Float])] = [
        (m, [3, 2], [0, 1, 2, 3, 4, 5]),
        (.rows(m, 1..<3), [2, 2], [2, 3, 4, 5]),
        (.permutedRows(m, order: [2, 0, 1]), [3, 2], [4, 5, 0, 1, 2, 3]),
        (.concatenation([m, .source("r")]), [4, 2], [0, 1, 2, 3, 4, 5, 6, 7]),
        (.transposition(m), [2, 3], [0, 2, 4, 1, 3, 5]),
        (.reshaping(m, [3, 2, 1]), [3, 2, 1], [0, 1, 2, 3, 4, 5]),
        (.scaling(v, 0.5), [2], [5, 50]),
        (.product(m, v), [3], [100, 320, 540]),
        (.sum(v, .row(1, of: m, width: 2)), [2], [12, 103]),
    ]

    @Test("give the shape and the numbers that they describe", arguments: results)
    func result(expression: TensorExpression, shape: [Int], values: [Float]) throws {
        let tensors = try Self.tensors()
        #expect(try expression.shape(in: tensors) == shape)
        #expect(try expression.values(in: tensors) == values)
    }

    static let faults: [(TensorExpression, String)] = [
        (.source("x"), "missing tensor 'x'"), (.rows(m, 2..<4), "at least 4 rows"),
        (.permutedRows(v, order: [0]), "1 rows"), (.concatenation([m, v]), "shape [2] doesn't fit"),
        (.transposition(v), "two dimensions"), (.reshaping(m, [2, 3]), "the shape [2, 3]"),
        (.product(m, .source("w")), "as many columns"), (.sum(m, v), "shape [3, 2] doesn't fit"),
    ]

    @Test("name the tensor that doesn't fit", arguments: faults)
    func fault(expression: TensorExpression, message: String) throws {
        let tensors = try Self.tensors()
        let error = #expect(throws: ImportError.self) { try expression.shape(in: tensors) }
        #expect(error?.description.contains(message) ?? false, "\(String(describing: error))")
    }

    @Test("orders of qkv: rows of two heads of two channels, from the definitions in docs/families.md")
    func orders() {
        #expect(QueryKeyValueOrder.heads.rows(channels: 4, headWidth: 2) == Array(0..<12))
        #expect(QueryKeyValueOrder.thirds.rows(channels: 4, headWidth: 2) == [0, 1, 4, 5, 8, 9, 2, 3, 6, 7, 10, 11])
        #expect(
            QueryKeyValueOrder.interleaved.rows(channels: 4, headWidth: 2) == [0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11])
    }
}
