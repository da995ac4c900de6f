import ReferenceNetwork
import Tensor
import TestFixtures
import Testing

@testable import Layers

/// Keeps the promise that attention is right for large images, and takes no more memory than it says. The operations of
/// `NetworksTests` and `DifferentiationTests` have few pixels.
@Suite("Attention of more than 4096 positions")
struct AttentionTests {
    /// 65x65 leaves one query for the last chunk of 64.
    static let sizes = [(side: 65, channels: 12, heads: 2), (80, 8, 1)]

    /// What a layer may not write to, behind its scratch memory.
    private static let guardedFloats = 4096

    @Test(
        "agrees with its definition in double, forwards and backwards, within the memory that it says it takes",
        arguments: sizes, Kernels.all.filter { $0.name != "scalar" })
    func definition(size: (side: Int, channels: Int, heads: Int), kernels: Kernels) {
        let attention = Attention(channels: size.channels, heads: size.heads, side: size.side)
        let (tokens, d) = (size.side * size.side, attention.headChannels)
        var noise = SeededGenerator(seed: UInt64(size.side))
        let (input, seed) = (noise.floats(3 * size.channels * tokens), noise.floats(size.channels * tokens))
        let x = Variable(input.map { 2 * Double($0) }, shape: [1, 3 * size.channels, size.side, size.side])
        let tape = Tape()
        let expected = tape.attention(x, heads: size.heads)
        tape.differentiate(expected, seed: seed.map(Double.init))

        let (source, sourceGradient) = (
            OwnMap(channels: 3 * attention.paddedChannels, side: size.side),
            OwnMap(channels: 3 * attention.paddedChannels, side: size.side)
        )
        let (output, outputGradient) = (
            OwnMap(channels: attention.paddedChannels, side: size.side),
            OwnMap(channels: attention.paddedChannels, side: size.side)
        )
        let padded = attention.paddedChannels / size.heads
        // The layer's weights hold 1/√d; here the queries do.
        let factor = 1 / Float(d).squareRoot()
        forEachNumber(parts: 3, size) { part, channel, head, i, p in
            source[(head * 3 + part) * padded + i, p] = 2 * input[channel * tokens + p] * (part == 0 ? factor : 1)
        }
        forEachNumber(parts: 1, size) { _, channel, head, i, p in
            outputGradient[head * padded + i, p] = seed[channel * tokens + p]
        }

        let scratch = max(attention.scratchFloats, attention.gradientScratchFloats)
        let workspace = Workspace(
            kernels: kernels, pool: WorkerPool(count: 2), scratchFloats: scratch + Self.guardedFloats)
        func fill(behind count: Int) {
            for worker in 0..<2 {
                let rest = scratch + Self.guardedFloats - count
                (workspace.scratch(of: worker).next + count).update(repeating: 7, count: rest)
            }
        }
        func isUntouched(behind count: Int) -> Bool {
            (0..<2).allSatisfy { worker in
                let next = workspace.scratch(of: worker).next
                return (count..<scratch + Self.guardedFloats).allSatisfy { next[$0] == 7 }
            }
        }
        fill(behind: attention.scratchFloats)
        attention.forward(source.map, into: output.map, batch: 1, on: workspace)
        #expect(isUntouched(behind: attention.scratchFloats), "forward")
        fill(behind: attention.gradientScratchFloats)
        attention.backward(
            source.map, outputGradient: outputGradient.map, into: sourceGradient.map, batch: 1, on: workspace)
        #expect(isUntouched(behind: attention.gradientScratchFloats), "backward")

        var (found, gradient) = (expected.value.map { _ in Float(0) }, input.map { _ in Float(0) })
        forEachNumber(parts: 1, size) { _, channel, head, i, p in
            found[channel * tokens + p] = output[head * padded + i, p]
        }
        forEachNumber(parts: 3, size) { part, channel, head, i, p in
            gradient[channel * tokens + p] =
                sourceGradient[(head * 3 + part) * padded + i, p]
                * (part == 0 ? factor : 1)
        }
        #expect(relativeError(found, expected.value) < 1e-5)
        #expect(relativeError(gradient, x.gradient) < 1e-5)
    }

    /// Every number of a map: the part (query, key or value), its channel in the definition, its head, its channel in the head,
    /// its pixel.
    private func forEachNumber(
        parts: Int, _ size: (side: Int, channels: Int, heads: Int), _ body: (Int, Int, Int, Int, Int) -> Void
    ) {
        let d = size.channels / size.heads
        for head in 0..<size.heads {
            for part in 0..<parts {
                for i in 0..<d {
                    for p in 0..<size.side * size.side { body(part, (head * parts + part) * d + i, head, i, p) }
                }
            }
        }
    }
}
