import FlowModel
public import TestFixtures

#if canImport(Glibc)
    import Glibc
#endif

extension SeededGenerator {
    /// The numbers of parameter `index` of a network, as `Tests/Fixtures/gradients/make_gradients.py` makes them: weights
    /// of unit gain, biases small, factors of normalisations near 1.
    public static func parameter(_ index: Int, shape: [Int], isFactor: Bool) -> [Float] {
        var noise = SeededGenerator(seed: UInt64(index + 1))
        let numbers = noise.floats(shape.reduce(1, *))
        guard shape.count > 1 else { return numbers.map { $0 * 0.125 + (isFactor ? 1 : 0) } }
        let scale = Float((3 / Double(shape[1...].reduce(1, *))).squareRoot())
        return numbers.map { $0 * scale }
    }
}
