import Testing

@testable import Tensor

@Suite("Linear algebra in double precision")
struct BLASTests {
    @Test("A product is that of rows with rows")
    func product() {
        let product = BLAS.product([1, 2, 3, 4, 5, 6], transposed: [1, 0, 1, 2, 1, 0], rows: 2, columns: 2, depth: 3)
        #expect(product == [4, 4, 10, 13])
    }

    @Test("Eigenvectors are of length 1 and make up the matrix with their eigenvalues", arguments: [1, 2, 7, 60])
    func eigenvectors(size: Int) throws {
        let random = CounterGenerator(seed: 3, purpose: .noise, step: size)
        var matrix = [Double](repeating: 0, count: size * size)
        for row in 0..<size {
            for column in 0...row {
                let number = Double(random.uniform(row * size + column)) - 0.5
                (matrix[row * size + column], matrix[column * size + row]) = (number, number)
            }
        }
        let (values, vectors) = try #require(BLAS.eigenvectors(ofSymmetric: matrix, size: size))
        #expect(values == values.sorted())
        for row in 0..<size {
            for column in 0..<size {
                func sum(_ term: (Int) -> Double) -> Double { (0..<size).reduce(0) { $0 + term($1) } }
                let entry = sum { values[$0] * vectors[$0 * size + row] * vectors[$0 * size + column] }
                #expect(abs(entry - matrix[row * size + column]) < 1e-12)
                let inner = sum { vectors[row * size + $0] * vectors[column * size + $0] }
                #expect(abs(inner - (row == column ? 1 : 0)) < 1e-12)
            }
        }
    }

    @Test("A matrix with a number that isn't finite has no eigenvectors", arguments: [Double.nan, .infinity])
    func notFinite(number: Double) {
        #expect(BLAS.eigenvectors(ofSymmetric: [1, number, number, 1], size: 2) == nil)
    }
}
