import Testing

@testable import FeatureService

@Suite("What is computed from features")
struct FeatureArithmeticTests {
    @Test("Probabilities sum to 1 however large the logits are; equal ones are ranked by index")
    func probabilities() {
        #expect(([1000, 1000] as [Float]).softmax() == [0.5, 0.5])
        #expect(([-.greatestFiniteMagnitude, .greatestFiniteMagnitude] as [Float]).softmax() == [0, 1])
        #expect(([] as [Float]).softmax() == [])
        #expect([0.2, 0.4, 0.4].ranking(2) == [1, 2] && [0.5].ranking(9) == [0])
    }

    @Test("Vectors have the length 1, but for zero, and cosines don't depend on lengths")
    func vectors() {
        #expect(([3, 4] as [Float]).scaledToUnitLength() == [0.6, 0.8])
        #expect(([0, 0] as [Float]).scaledToUnitLength() == [0, 0])
        #expect(([3, 4] as [Float]).cosine(with: [6, 8]) == 1 && ([1, 0] as [Float]).cosine(with: [0, 2]) == 0)
    }
}
