import Testing

@testable import Tensor

@Suite("Random numbers by counters")
struct CounterGeneratorTests {
    @Test("Random numbers are those of Philox4x32-10's published vectors")
    func philox() {
        #expect(
            CounterGenerator.philox(SIMD4(0, 0, 0, 0), key: SIMD2(0, 0))
                == SIMD4(0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8))
        #expect(
            CounterGenerator.philox(SIMD4(repeating: .max), key: SIMD2(repeating: .max))
                == SIMD4(0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd))
        #expect(
            CounterGenerator.philox(
                SIMD4(0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344), key: SIMD2(0xa409_3822, 0x299f_31d0))
                == SIMD4(0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1))
    }

    @Test("Normal numbers have the moments of the normal distribution, and don't depend on where a part begins")
    func normals() {
        let random = CounterGenerator(seed: 7, purpose: .noise, step: 3)
        let count = 200_000
        var values = [Float](repeating: 0, count: count)
        random.writeNormals(0..<count, to: &values)
        let moments = (1...4).map { (power: Int) -> Double in
            values.reduce(0.0) { sum, value in
                sum + (0..<power).reduce(1.0) { product, _ in product * Double(value) }
            } / Double(count)
        }
        // Each within four deviations of a mean of so many.
        for (moment, (expected, variance)) in zip(moments, [(0.0, 1.0), (1, 2), (0, 15), (3, 96)]) {
            #expect(abs(moment - expected) < 4 * (variance / Double(count)).squareRoot())
        }
        var part = [Float](repeating: 0, count: 21)
        random.writeNormals(1000..<1021, to: &part)
        #expect(part == Array(values[1000..<1021]))
        var other = part
        CounterGenerator(seed: 7, purpose: .noise, step: 4).writeNormals(1000..<1021, to: &other)
        #expect(other != part)
    }
}
