import CKernels
import Tensor
import TestFixtures
import Testing

/// What this processor runs of them, the narrowest first.
private let transforms: [hw_winograd_weights] = {
    var found: [hw_winograd_weights] = []
    while let next = hw_winograd_weights_at(found.count) { found.append(next.pointee) }
    return found
}()

/// G: row i is (1, p, p²) over the product of the point's differences to the other ones; the last is of the point at
/// infinity. F(2x2)'s first row has its sign turned, as its input's transform has.
private func filter(tile: Int) -> [[Double]] {
    guard tile == 4 else { return [[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]] }
    let points = [0, 0.75, -0.75, 1.5, -1.5]
    let rows: [[Double]] = points.map { p in
        let product = points.filter { $0 != p }.map { p - $0 }.reduce(1, *)
        return [1 / product, p / product, p * p / product]
    }
    return rows + [[0, 0, 1]]
}

@Suite("Winograd's weights, and gradients back from them, are the same to the bit on every instruction set")
struct WinogradWeightsTests {
    struct Shape: Sendable {
        let tile: Int
        let outputs: Int
        let inputs: Int
        var size: Int { tile + 2 }
        var blocks: Int { (outputs + 15) / 16 }
        var padded: Int { (inputs + 15) / 16 * 16 }
        var panelCount: Int { blocks * size * size * padded * 16 }

        /// Where a product's factor lies in the panels.
        func place(output: Int, input: Int, row: Int, column: Int) -> Int {
            (((output / 16 * size + row) * size + column) * padded + input) * 16 + output % 16
        }
    }

    static let shapes = [2, 4].flatMap { tile in
        [(16, 16), (33, 5), (7, 40)].map { Shape(tile: tile, outputs: $0.0, inputs: $0.1) }
    }

    @Test("G·w·Gᵀ of every pair of channels", arguments: shapes)
    func pack(shape: Shape) {
        var noise = SeededGenerator(seed: 1)
        let weights = noise.floats(shape.outputs * shape.inputs * 9)
        let g = filter(tile: shape.tile)
        let all = transforms.map { transforms in
            let panels = AlignedBuffer(count: shape.panelCount)
            transforms.pack(
                panels.pointer, weights, shape.outputs, shape.inputs, shape.padded, Int32(shape.tile), 0, shape.blocks)
            return panels
        }
        for (o, i) in pairs(shape) {
            for u in 0..<shape.size {
                for v in 0..<shape.size {
                    let place = shape.place(output: o, input: i, row: u, column: v)
                    var expected = 0.0
                    for tap in 0..<9 {
                        let weight = Double(weights[(o * shape.inputs + i) * 9 + tap])
                        expected += g[u][tap / 3] * g[v][tap % 3] * weight
                    }
                    let found = Double(all[0].pointer[place])
                    #expect(abs(found - expected) < 1e-6)
                }
            }
        }
        for other in all { #expect(isSame(all[0], other)) }
    }

    @Test("Gᵀ·gradient·G is added, for some blocks of channels only", arguments: shapes)
    func add(shape: Shape) {
        var noise = SeededGenerator(seed: 2)
        let (panels, start) = (noise.buffer(shape.panelCount), noise.floats(shape.outputs * shape.inputs * 9))
        let g = filter(tile: shape.tile)
        let first = shape.blocks - 1
        let all = transforms.map { transforms in
            let gradient = AlignedBuffer(start)
            transforms.add(
                gradient.pointer, panels.pointer + shape.place(output: 16 * first, input: 0, row: 0, column: 0),
                shape.outputs, shape.inputs, shape.padded, Int32(shape.tile), first, 1)
            return gradient
        }
        for (o, i) in pairs(shape) {
            for tap in 0..<9 {
                var expected = Double(start[(o * shape.inputs + i) * 9 + tap])
                for u in 0..<shape.size where o / 16 == first {
                    for v in 0..<shape.size {
                        let place = shape.place(output: o, input: i, row: u, column: v)
                        expected += g[u][tap / 3] * g[v][tap % 3] * Double(panels.pointer[place])
                    }
                }
                let found = Double(all[0].pointer[(o * shape.inputs + i) * 9 + tap])
                #expect(abs(found - expected) < 1e-6)
            }
        }
        for other in all { #expect(isSame(all[0], other)) }
    }

    private func pairs(_ shape: Shape) -> [(Int, Int)] {
        (0..<shape.outputs).flatMap { o in (0..<shape.inputs).map { (o, $0) } }
    }

    private func isSame(_ a: AlignedBuffer, _ b: AlignedBuffer) -> Bool {
        (0..<a.count).allSatisfy { a.pointer[$0].bitPattern == b.pointer[$0].bitPattern }
    }
}
