import Testing

@testable import Augmentation

@Suite("Random streams")
struct RandomStreamTests {
    @Test("A seed and keys name the numbers: others name others, the order of keys counts")
    func keys() {
        func first(_ stream: RandomStream) -> UInt64 {
            var stream = stream
            return stream.next()
        }
        let streams = [
            RandomStream(seed: 0), RandomStream(seed: 1), RandomStream(seed: 0, 0), RandomStream(seed: 0, 1),
            RandomStream(seed: 0, 1, 2), RandomStream(seed: 0, 2, 1), RandomStream(seed: 0, -1),
        ]
        #expect(Set(streams.map(first)).count == streams.count)
        #expect(first(RandomStream(seed: 9, 3, 4)) == first(RandomStream(seed: 9, 3, 4)))
    }

    @Test("Uniform and normal numbers have the moments of their distributions")
    func moments() {
        var random = RandomStream(seed: 2)
        let count = 20_000
        let uniform = (0..<count).map { _ in random.uniform() }
        #expect(uniform.allSatisfy { (0..<1).contains($0) })
        #expect(abs(uniform.reduce(0, +) / Double(count) - 0.5) < 0.01)
        let normal = (0..<count).map { _ in random.normal() }
        #expect(abs(normal.reduce(0, +) / Double(count)) < 0.03)
        let squares = normal.map { $0 * $0 }
        #expect(abs(squares.reduce(0, +) / Double(count) - 1) < 0.05)
        #expect(abs(squares.reduce(0) { $0 + $1 * $1 } / Double(count) - 3) < 0.3)
    }

    @Test("Permutations hold everything once, and every order of three comes about as often")
    func permutations() {
        var random = RandomStream(seed: 3)
        #expect(random.permutation(of: 100).sorted() == Array(0..<100))
        var counts: [[Int]: Int] = [:]
        for _ in 0..<6000 { counts[random.permutation(of: 3), default: 0] += 1 }
        #expect(counts.count == 6 && counts.values.allSatisfy { (850...1150).contains($0) })
        #expect(random.permutation(of: 0).isEmpty && random.permutation(of: 1) == [0])
    }
}
