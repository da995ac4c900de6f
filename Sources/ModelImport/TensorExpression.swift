import FlowModel
import UntrustedText

/// How a tensor of the model follows from tensors of a source.
indirect enum TensorExpression: Equatable, Sendable {
    /// A tensor of the source.
    case source(String)
    /// Some of the rows, which are the first dimension.
    case rows(TensorExpression, Range<Int>)
    /// The rows in another order: row i is row order[i] of the operand.
    case permutedRows(TensorExpression, order: [Int])
    /// The rows of several, one after another.
    case concatenation([TensorExpression])
    /// A matrix with rows and columns exchanged.
    case transposition(TensorExpression)
    /// The same numbers in a shape that differs only in extents of 1.
    case reshaping(TensorExpression, [Int])
    /// Each number multiplied by a factor.
    case scaling(TensorExpression, Double)
    /// A matrix multiplied by a vector.
    case product(TensorExpression, TensorExpression)
    /// The sum of two of the same shape.
    case sum(TensorExpression, TensorExpression)
}

extension TensorExpression {
    /// One row of a matrix, as a vector.
    static func row(_ index: Int, of matrix: TensorExpression, width: Int) -> TensorExpression {
        .reshaping(.rows(matrix, index..<index + 1), [width])
    }

    /// The names of the source's tensors that it reads.
    var sources: [String] {
        switch self {
        case .source(let name): [name]
        case .rows(let operand, _), .permutedRows(let operand, _), .transposition(let operand),
            .reshaping(let operand, _), .scaling(let operand, _):
            operand.sources
        case .concatenation(let operands): operands.flatMap(\.sources)
        case .product(let left, let right), .sum(let left, let right): left.sources + right.sources
        }
    }

    /// The shape of the result, without reading any numbers.
    ///
    /// - Throws: `ImportError` naming the source's tensor that is missing or whose shape doesn't fit.
    func shape(in tensors: SourceTensors) throws -> [Int] {
        switch self {
        case .source(let name):
            guard let tensor = tensors[name] else { throw ImportError.missing(name) }
            return tensor.shape
        case .rows(let operand, let range):
            let shape = try operand.shape(in: tensors)
            try require(!shape.isEmpty && range.upperBound <= shape[0], shape, "at least \(range.upperBound) rows")
            return [range.count] + shape.dropFirst()
        case .permutedRows(let operand, let order):
            let shape = try operand.shape(in: tensors)
            try require(shape.first == order.count, shape, "\(order.count) rows")
            return shape
        case .concatenation(let operands):
            let shapes = try operands.map { try $0.shape(in: tensors) }
            let rest = shapes[0].dropFirst()
            for shape in shapes {
                try require(!shape.isEmpty && shape.dropFirst() == rest, shape, "rows of shape \(Array(rest))")
            }
            return [shapes.reduce(0) { $0 + $1[0] }] + rest
        case .transposition(let operand):
            let shape = try operand.shape(in: tensors)
            try require(shape.count == 2, shape, "two dimensions")
            return shape.reversed()
        case .reshaping(let operand, let target):
            let shape = try operand.shape(in: tensors)
            try require(shape.filter { $0 != 1 } == target.filter { $0 != 1 }, shape, "the shape \(target)")
            return target
        case .scaling(let operand, _): return try operand.shape(in: tensors)
        case .product(let matrix, let vector):
            let shape = try matrix.shape(in: tensors)
            try require(
                shape.count == 2 && vector.shape(in: tensors) == [shape[1]], shape, "as many columns as the vector")
            return [shape[0]]
        case .sum(let left, let right):
            let shape = try left.shape(in: tensors)
            try require(right.shape(in: tensors) == shape, shape, "the shape of what is added")
            return shape
        }
    }

    private func require(_ condition: Bool, _ shape: [Int], _ expected: String) throws {
        guard !condition else { return }
        throw ImportError.unusable(
            "\(sources.map { "tensor " + quoted($0) }.joined(separator: ", ")): shape \(shape) doesn't fit; the model needs \(expected)"
        )
    }

    /// The numbers, row-major.
    ///
    /// - Throws: as `shape(in:)`, and what reading numbers throws.
    func values(in tensors: SourceTensors) throws -> [Float] {
        switch self {
        case .source(let name):
            guard let tensor = tensors[name] else { throw ImportError.missing(name) }
            return try tensor.numbers()
        case .rows(let operand, let range):
            let width = try rowLength(operand.shape(in: tensors))
            return Array(try operand.values(in: tensors)[range.lowerBound * width..<range.upperBound * width])
        case .permutedRows(let operand, let order):
            let width = try rowLength(operand.shape(in: tensors))
            let values = try operand.values(in: tensors)
            return order.flatMap { values[$0 * width..<($0 + 1) * width] }
        case .concatenation(let operands): return try operands.flatMap { try $0.values(in: tensors) }
        case .transposition(let operand):
            let shape = try operand.shape(in: tensors)
            let values = try operand.values(in: tensors)
            return (0..<shape[1]).flatMap { column in (0..<shape[0]).map { values[$0 * shape[1] + column] } }
        case .reshaping(let operand, _): return try operand.values(in: tensors)
        case .scaling(let operand, let factor):
            return try operand.values(in: tensors).map { Float(Double($0) * factor) }
        case .product(let matrix, let vector):
            let (rows, columns) = (try matrix.values(in: tensors), try vector.values(in: tensors))
            return (0..<rows.count / max(columns.count, 1)).map { row in
                Float(columns.indices.reduce(0.0) { $0 + Double(rows[row * columns.count + $1]) * Double(columns[$1]) })
            }
        case .sum(let left, let right):
            return zip(try left.values(in: tensors), try right.values(in: tensors)).map { $0 + $1 }
        }
    }

    private func rowLength(_ shape: [Int]) -> Int { shape.dropFirst().reduce(1, *) }
}
